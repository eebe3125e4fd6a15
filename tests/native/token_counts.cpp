// Prints how the library itself cuts prompts: for each text on standard input, which end with NUL, the parts that it
// is read in and how many tokens each has.
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizers/clip_tokenizer.h"
#include "tokenizers/mistral_tokenizer.h"
#include "tokenizers/qwen2_tokenizer.h"
#include "tokenizers/t5_unigram_tokenizer.h"

std::vector<std::pair<std::string, float>> parse_prompt_attention(const std::string& text);

int main(int, char** arguments) {
    const std::string kind = arguments[1];
    std::unique_ptr<Tokenizer> tokenizer;
    if (kind == "clip") {
        tokenizer.reset(new CLIPTokenizer());
    } else if (kind == "qwen2") {
        tokenizer.reset(new Qwen2Tokenizer());
    } else if (kind == "mistral") {
        tokenizer.reset(new MistralTokenizer());
    } else {
        tokenizer.reset(new T5UniGramTokenizer(kind == "umt5"));
    }
    std::string text;
    while (std::getline(std::cin, text, '\0')) {
        for (const auto& part : parse_prompt_attention(text)) {
            std::cout << part.first << '\x1f' << tokenizer->encode(part.first).size() << '\x1e';
        }
        std::cout << '\0';
    }
}
