// LD_PRELOAD before Vulkan's loader: a device with the fault that stands in the file which DEVICE_FAULTS names.
//   refuse FROM TO    allocations of so many bytes (both included) find no memory, for as long as the file says so
//   lose              the device is lost to the process that submits next, for good. It takes the word with it (the
//                     file is removed), so that a process that begins later has a device again.
// Two more things are done, fault or not. Who waits for the device sleeps instead of spinning: it needs the cores.
// And each descriptor of a set names a buffer. The library writes those that a shader uses; the others may name buffers
// that are gone, which is allowed, but Mesa 22.3 touches all of them, and spoils the heap with that.
// BUDGET="SIZE USED" (bytes) is what VK_EXT_memory_budget says of the first heap, whether or not the device has that
// extension. TELL_MEMORY prints every allocation.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>

// The functions that are replaced below, as the loader has them.
static PFN_vkAllocateMemory allocate_memory;
static PFN_vkQueueSubmit queue_submit;
static PFN_vkEnumerateDeviceExtensionProperties list_extensions;
static PFN_vkGetPhysicalDeviceMemoryProperties2 get_memory_properties;
static PFN_vkGetDeviceProcAddr get_device_function;
static PFN_vkUpdateDescriptorSets update_descriptors;
static PFN_vkGetFenceStatus get_fence_status;
static PFN_vkWaitForFences wait_for_fences;

enum { SET_SIZE = 12 };  // MAX_PARAMETER_COUNT of ggml-vulkan

typedef unsigned long long bytes;

// Whether that fault stands in the file; the numbers after it go into ``range``.
static int is_asked_for(const char* fault, bytes range[2]) {
    const char* path = getenv("DEVICE_FAULTS");
    FILE* file = path ? fopen(path, "r") : NULL;
    char word[16] = "";
    if (file) {
        if (fscanf(file, "%15s %llu %llu", word, &range[0], &range[1]) < 1) word[0] = 0;
        fclose(file);
    }
    return !strcmp(word, fault);
}

static VkResult allocate(VkDevice device, const VkMemoryAllocateInfo* wanted, const VkAllocationCallbacks* callbacks,
                         VkDeviceMemory* memory) {
    const bytes size = wanted->allocationSize;
    bytes range[2] = {1, 0};
    const int refused = is_asked_for("refuse", range) && range[0] <= size && size <= range[1];
    if (getenv("TELL_MEMORY")) fprintf(stderr, "vkAllocateMemory %llu%s\n", size, refused ? " refused" : "");
    return refused ? VK_ERROR_OUT_OF_DEVICE_MEMORY : allocate_memory(device, wanted, callbacks, memory);
}

static VkResult submit(VkQueue queue, uint32_t count, const VkSubmitInfo* submissions, VkFence fence) {
    static atomic_int is_lost;
    bytes none[2];
    if (is_asked_for("lose", none) && unlink(getenv("DEVICE_FAULTS")) == 0) is_lost = 1;
    return is_lost ? VK_ERROR_DEVICE_LOST : queue_submit(queue, count, submissions, fence);
}

static VkResult wait_for_fence(VkDevice device, VkFence fence) {
    const VkResult result = wait_for_fences ? wait_for_fences(device, 1, &fence, VK_TRUE, 1000000000) : VK_TIMEOUT;
    return result == VK_TIMEOUT ? get_fence_status(device, fence) : result;
}

static void update_whole_sets(VkDevice device, uint32_t count, const VkWriteDescriptorSet* writes, uint32_t copies,
                              const VkCopyDescriptorSet* copied) {
    for (uint32_t index = 0; index < count; index++) {
        VkWriteDescriptorSet write = writes[index];
        VkDescriptorBufferInfo buffers[SET_SIZE];
        const int is_whole = write.dstBinding || write.descriptorCount >= SET_SIZE;
        if (write.descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER && !is_whole) {
            for (uint32_t slot = 0; slot < SET_SIZE; slot++) {
                buffers[slot] = write.pBufferInfo[slot < write.descriptorCount ? slot : 0];
            }
            write.descriptorCount = SET_SIZE;
            write.pBufferInfo = buffers;
        }
        update_descriptors(device, 1, &write, 0, NULL);
    }
    if (copies) update_descriptors(device, 0, NULL, copies, copied);
}

// Adds VK_EXT_memory_budget to what the device has.
static VkResult list_with_budget(VkPhysicalDevice device, const char* layer, uint32_t* count,
                                 VkExtensionProperties* found) {
    const uint32_t room = *count;
    VkResult result = list_extensions(device, layer, count, found);
    if (!getenv("BUDGET") || layer || result < 0) return result;
    if (found && *count < room) {
        memset(found + *count, 0, sizeof *found);
        strcpy(found[*count].extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    }
    if (!found || *count < room) ++*count;
    return result;
}

static void get_memory_with_budget(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2* properties) {
    const char* budget = getenv("BUDGET");
    bytes size, used;
    get_memory_properties(device, properties);
    if (!budget || sscanf(budget, "%llu %llu", &size, &used) != 2) return;
    for (VkBaseOutStructure* part = properties->pNext; part; part = part->pNext) {
        if (part->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) {
            VkPhysicalDeviceMemoryBudgetPropertiesEXT* told = (VkPhysicalDeviceMemoryBudgetPropertiesEXT*)part;
            told->heapBudget[0] = size;
            told->heapUsage[0] = used;
        }
    }
}

static PFN_vkVoidFunction find_for_device(VkDevice device, const char* name);

static PFN_vkVoidFunction replace(const char* name, PFN_vkVoidFunction function) {
    const struct {
        const char* name;
        PFN_vkVoidFunction ours;
        void* kept;
    } all[] = {
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate, &allocate_memory},
        {"vkQueueSubmit", (PFN_vkVoidFunction)submit, &queue_submit},
        {"vkEnumerateDeviceExtensionProperties", (PFN_vkVoidFunction)list_with_budget, &list_extensions},
        {"vkGetPhysicalDeviceMemoryProperties2", (PFN_vkVoidFunction)get_memory_with_budget, &get_memory_properties},
        {"vkUpdateDescriptorSets", (PFN_vkVoidFunction)update_whole_sets, &update_descriptors},
        {"vkGetFenceStatus", (PFN_vkVoidFunction)wait_for_fence, &get_fence_status},
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)find_for_device, &get_device_function},
    };
    if (!strcmp(name, "vkWaitForFences")) memcpy(&wait_for_fences, &function, sizeof function);
    for (size_t index = 0; function && index < sizeof all / sizeof *all; index++) {
        if (!strcmp(name, all[index].name)) {
            memcpy(all[index].kept, &function, sizeof function);
            return all[index].ours;
        }
    }
    return function;
}

static PFN_vkVoidFunction find_for_device(VkDevice device, const char* name) {
    return replace(name, get_device_function(device, name));
}

// The only name that programs see: the rest they ask this function for.
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char* name) {
    // Not RTLD_NEXT: the loader came with a library of Python's, whose names nobody else sees.
    static PFN_vkGetInstanceProcAddr find;
    if (!find) find = (PFN_vkGetInstanceProcAddr)dlsym(dlopen("libvulkan.so.1", RTLD_NOW), "vkGetInstanceProcAddr");
    return replace(name, find(instance, name));
}
