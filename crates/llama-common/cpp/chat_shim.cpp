// The chat code of llama.cpp's `common` behind C functions. Every exception ends here: a call
// returns 0 and a result, -1 and a message, or -2 and the limit that was passed; the string is the
// caller's to free.
#include <cstdlib>
#include <cstring>
#include <string>

#include "chat.h"
#include "json.h"
#include "limits.h"
#include "log.h"

namespace {

char * copy(const std::string & text) {
    char * bytes = static_cast<char *>(std::malloc(text.size() + 1));
    if (bytes != nullptr) {
        std::memcpy(bytes, text.c_str(), text.size() + 1);
    }
    return bytes;
}

constexpr int FAILED       = -1;
constexpr int PASSED_LIMIT = -2;

// Processor time of one call. A long conversation takes some ten milliseconds. One operation between
// two allocations may still take a few times as long, within the memory there is.
constexpr std::uint64_t CPU_MS = 400;
// Threads of Node have stacks of 4 MiB.
constexpr std::size_t STACK_BYTES = 1536U << 10;
// Memory in use at once: a base for the engine itself, and room for copies of the input.
constexpr std::size_t BASE_BYTES       = 4U << 20;
constexpr std::size_t COPIES_OF_INPUT = 32;

// Below the verbosity of every line.
constexpr int SILENT = -1000;

template <typename Work> int guarded(std::size_t input_bytes, char ** out, Work work) noexcept {
    *out = nullptr;
    rkllmjs::Limits limits(BASE_BYTES + COPIES_OF_INPUT * input_bytes, CPU_MS, STACK_BYTES);
    const char * message = nullptr;
    try {
        const std::string result = work();
        limits.lift();
        *out = copy(result);
        return *out == nullptr ? FAILED : 0;
    } catch (const std::exception & error) {
        limits.lift();
        *out = limits.passed() == nullptr ? copy(error.what()) : nullptr;
    } catch (...) {
        limits.lift();
        message = "an exception that is not a std::exception";
    }
    if (limits.passed() != nullptr) {
        *out = copy(limits.passed());
        return PASSED_LIMIT;
    }
    if (message != nullptr) {
        *out = copy(message);
    }
    return FAILED;
}

std::string text(const common_json & object, const char * key) {
    return object.contains(key) ? object.at(key).get<std::string>() : std::string();
}

bool flag(const common_json & object, const char * key, bool otherwise) {
    return object.contains(key) ? object.at(key).get<bool>() : otherwise;
}

common_chat_templates_inputs inputs_of(const common_json & request) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    }
    if (request.contains("tool_choice")) {
        inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(text(request, "tool_choice"));
    }
    inputs.parallel_tool_calls   = flag(request, "parallel_tool_calls", false);
    inputs.add_generation_prompt = flag(request, "add_generation_prompt", true);
    inputs.enable_thinking       = flag(request, "enable_thinking", true);
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    // Learning how a template writes calls takes some milliseconds each time, and only tools need it.
    inputs.force_pure_content = inputs.tools.empty();
    if (request.contains("template_args")) {
        for (const auto & [key, value] : request.at("template_args").items()) {
            inputs.chat_template_kwargs[key] = value.dump();
        }
    }
    return inputs;
}

}  // namespace

extern "C" {

void rkllmjs_chat_free_string(char * bytes) {
    std::free(bytes);
}

// 0 and an opaque pointer, or what went wrong.
int rkllmjs_chat_templates_new(const char * source, const char * bos, const char * eos, void ** templates, char ** message) {
    *templates = nullptr;
    // Its log goes to stderr, which is the user's; what matters comes back as a message.
    common_log_set_verbosity_thold(SILENT);
    return guarded(std::strlen(source), message, [&] {
        *templates = common_chat_templates_init(nullptr, source, bos, eos).release();
        return std::string();
    });
}

void rkllmjs_chat_templates_free(void * templates) {
    common_chat_templates_free(static_cast<common_chat_templates *>(templates));
}

// Renders a request: JSON in, JSON out.
int rkllmjs_chat_apply(const void * templates, const char * request, char ** out) {
    return guarded(std::strlen(request), out, [&] {
        const auto inputs = inputs_of(common_json::parse(request));
        const auto params =
            common_chat_templates_apply(static_cast<const common_chat_templates *>(templates), inputs);
        common_json result          = common_json::object();
        result["prompt"]            = params.prompt;
        result["format"]            = static_cast<int>(params.format);
        result["parser"]            = params.parser;
        result["generation_prompt"] = params.generation_prompt;
        result["stops"]             = params.additional_stops;
        return result.dump();
    });
}

// Parses an answer into a message. `partial`: more text may follow.
int rkllmjs_chat_parse(const char * answer, int partial, const char * parameters, char ** out) {
    return guarded(std::strlen(answer) + std::strlen(parameters), out, [&] {
        const auto json = common_json::parse(parameters);
        common_chat_parser_params params;
        params.format            = static_cast<common_chat_format>(json.at("format").get<int>());
        params.generation_prompt = text(json, "generation_prompt");
        params.reasoning_format  = COMMON_REASONING_FORMAT_AUTO;
        const auto parser        = text(json, "parser");
        if (!parser.empty()) {
            params.parser.load(parser);
        }
        return common_chat_parse(answer, partial != 0, params).to_json_oaicompat().dump();
    });
}
}
