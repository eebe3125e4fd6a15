// Replaces a function that a loaded library calls in another one: for that library's calls alone.
//
// Where libraries are ELF files of 64-bit Linux; elsewhere CAN_REPLACE_CALLS is not defined. Knows no library.

#pragma once

#if defined(__linux__) && defined(__LP64__)
#define CAN_REPLACE_CALLS 1

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace imported_calls {

struct Wish {
    uintptr_t inside;  // an address in the library
    const char* name;
    void* ours;
    bool done;
};

template <typename Type>
const Type* table_at(const dl_phdr_info* object, ElfW(Addr) address) {
    // glibc has added the base already, others have not.
    return reinterpret_cast<const Type*>(address < object->dlpi_addr ? object->dlpi_addr + address : address);
}

inline bool holds(const dl_phdr_info* object, ElfW(Word) type, uintptr_t address) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& part      = object->dlpi_phdr[i];
        const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
        if (part.p_type == type && address >= begin && address < begin + part.p_memsz) return true;
    }
    return false;
}

// Libraries that were linked with "-z now" have their table of calls made read-only.
inline bool write_slot(const dl_phdr_info* object, void** slot, void* value) {
    const auto address   = reinterpret_cast<uintptr_t>(slot);
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    void* page           = reinterpret_cast<void*>(address & ~(page_size - 1));
    if (mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0) return false;
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (holds(object, PT_GNU_RELRO, address)) mprotect(page, page_size, PROT_READ);
    return true;
}

inline int replace_in(dl_phdr_info* object, size_t, void* data) {
    Wish* wish = static_cast<Wish*>(data);
    if (!holds(object, PT_LOAD, wish->inside)) return 0;
    const ElfW(Rela)* calls  = nullptr;
    const ElfW(Sym)* symbols = nullptr;
    const char* names        = nullptr;
    size_t size = 0, kind = 0;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
        auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; ++entry) {
            if (entry->d_tag == DT_JMPREL) calls = table_at<ElfW(Rela)>(object, entry->d_un.d_ptr);
            if (entry->d_tag == DT_SYMTAB) symbols = table_at<ElfW(Sym)>(object, entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB) names = table_at<char>(object, entry->d_un.d_ptr);
            if (entry->d_tag == DT_PLTRELSZ) size = entry->d_un.d_val;
            if (entry->d_tag == DT_PLTREL) kind = entry->d_un.d_val;
        }
    }
    if (!calls || !symbols || !names || kind != DT_RELA) return 1;
    for (size_t i = 0; i < size / sizeof *calls; ++i) {
        if (std::strcmp(names + symbols[ELF64_R_SYM(calls[i].r_info)].st_name, wish->name) != 0) continue;
        auto slot  = reinterpret_cast<void**>(object->dlpi_addr + calls[i].r_offset);
        wish->done = write_slot(object, slot, wish->ours) || wish->done;
    }
    return 1;
}

}  // namespace imported_calls

// From now on the library that has `inside` calls `ours` instead of the function `name`. Returns whether it calls that.
inline bool replace_calls(const void* inside, const char* name, void* ours) {
    imported_calls::Wish wish{reinterpret_cast<uintptr_t>(inside), name, ours, false};
    dl_iterate_phdr(imported_calls::replace_in, &wish);
    return wish.done;
}

#endif
