// The chat code of llama.cpp's `common` behind C functions. Every exception ends here: a call
// returns 0 and a result, -1 and a message, or -2 and the limit that was passed; the string is the
// caller's to free.
#include <pthread.h>
#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
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

// Processor time of a call that does not say how much it may take. One operation between two allocations may still
// take a few times as long, within the memory there is.
constexpr std::uint64_t CPU_MS       = 400;
constexpr std::size_t   BYTES_PER_MS = 4096;
// Threads of Node have stacks of 4 MiB.
constexpr std::size_t STACK_BYTES = 1536U << 10;
// Memory in use at once: a base for the engine itself, and room for copies of the input.
constexpr std::size_t BASE_BYTES       = 4U << 20;
constexpr std::size_t COPIES_OF_INPUT = 32;
constexpr std::size_t CALLS_BYTES     = 128U << 20;
// What parsing an answer counts as input besides: a parser keeps nodes for what it has tried.
constexpr std::size_t ANSWER_BYTES  = 64U << 10;
constexpr std::size_t ANSWER_COPIES = 16;

// Below the verbosity of every line.
constexpr int SILENT = -1000;

// What a call is to find out: nothing, how answers write thoughts, or calls of tools as well.
enum class Learn : int { NOTHING = 0, THOUGHTS = 1, CALLS = 2 };

template <typename Work>
int guarded(std::size_t bytes, std::uint64_t cpu_ms, char ** out, Work work) noexcept {
    *out = nullptr;
    rkllmjs::Limits limits(bytes, cpu_ms, STACK_BYTES);
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

// With the limits that fit an input of so many bytes.
template <typename Work> int guarded(std::size_t input_bytes, char ** out, Work work) noexcept {
    return guarded(BASE_BYTES + COPIES_OF_INPUT * input_bytes, CPU_MS + input_bytes / BYTES_PER_MS, out, work);
}

std::string text(const common_json & object, const char * key) {
    return object.contains(key) ? object.at(key).get<std::string>() : std::string();
}

bool flag(const common_json & object, const char * key, bool otherwise) {
    return object.contains(key) ? object.at(key).get<bool>() : otherwise;
}

common_chat_templates_inputs inputs_of(const common_json & request, Learn learn) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    }
    if (request.contains("tool_choice")) {
        inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(text(request, "tool_choice"));
    }
    inputs.add_generation_prompt = flag(request, "add_generation_prompt", true);
    if (flag(request, "continue_final_message", false)) {
        inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    }
    inputs.enable_thinking       = flag(request, "enable_thinking", true);
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    // Learning how a template writes calls and thoughts takes some milliseconds each time.
    inputs.force_pure_content = learn == Learn::NOTHING;
    // What is not given is none and not undefined, as where templates are written for: `tools is not none`.
    for (const char * name : { "tools", "documents" }) {
        if (!request.contains(name)) {
            inputs.chat_template_kwargs[name] = "null";
        }
    }
    if (request.contains("template_args")) {
        const auto args = request.at("template_args");
        for (const auto & [key, value] : args.items()) {
            inputs.chat_template_kwargs[key] = value.dump();
        }
        // The parser must know what the template is told.
        if (args.contains("enable_thinking") && args.at("enable_thinking").is_boolean()) {
            inputs.enable_thinking = args.at("enable_thinking").get<bool>();
        }
    }
    return inputs;
}

common_json triggers_of(const std::vector<common_grammar_trigger> & triggers) {
    common_json result = common_json::array();
    for (const auto & trigger : triggers) {
        const bool is_word = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD;
        common_json one    = common_json::object();
        one["kind"]        = is_word ? "word" : "other";
        one["value"]       = trigger.value;
        result.push_back(one);
    }
    return result;
}

common_chat_parser_params parser_of(const common_json & parameters) {
    common_chat_parser_params params;
    params.format            = static_cast<common_chat_format>(parameters.at("format").get<int>());
    params.generation_prompt = text(parameters, "generation_prompt");
    params.reasoning_format  = COMMON_REASONING_FORMAT_AUTO;
    const auto parser        = text(parameters, "parser");
    if (!parser.empty()) {
        params.parser.load(parser);
    }
    return params;
}

// Whether an answer with calls ends where the parser says that one may. `common` itself takes an answer that breaks
// off in the middle for one that ends there.
bool is_whole(const common_chat_parser_params & params, const std::string & answer) {
    if (params.parser.empty()) {
        return true;
    }
    common_peg_parse_context context(params.generation_prompt + answer, COMMON_PEG_PARSE_FLAG_NONE);
    return params.parser.parse(context).success();
}

}  // namespace

extern "C" {

// Of the copy of llama.cpp's values that looks at the stack; asking for it brings the copy in.
int rkllmjs_values_are_guarded();

void rkllmjs_chat_free_string(char * bytes) {
    std::free(bytes);
}

// The clock of this thread's processor time, for any thread to read; -1 without one.
std::int64_t rkllmjs_thread_clock() {
    clockid_t clock{};
    return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? static_cast<std::int64_t>(clock) : -1;
}

// What such a clock says, in nanoseconds; -1 once its thread has ended.
std::int64_t rkllmjs_thread_clock_ns(std::int64_t clock) {
    timespec now{};
    if (clock_gettime(static_cast<clockid_t>(clock), &now) != 0) {
        return -1;
    }
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// 0 and an opaque pointer, or what went wrong.
int rkllmjs_chat_templates_new(const char * source, const char * bos, const char * eos, void ** templates, char ** message) {
    *templates = nullptr;
    // Its log goes to stderr, which is the user's; what matters comes back as a message.
    common_log_set_verbosity_thold(SILENT);
    return guarded(std::strlen(source), message, [&] {
        if (rkllmjs_values_are_guarded() == 0) {
            throw std::logic_error("values of templates are not guarded");
        }
        *templates = common_chat_templates_init(nullptr, source, bos, eos).release();
        return std::string();
    });
}

void rkllmjs_chat_templates_free(void * templates) {
    common_chat_templates_free(static_cast<common_chat_templates *>(templates));
}

// Renders a request: JSON in, JSON out. `what` is a number of `Learn`.
int rkllmjs_chat_apply(const void * templates, const char * request, int what, std::uint64_t cpu_ms, char ** out) {
    const Learn learn  = static_cast<Learn>(what);
    const auto  bytes  = (learn == Learn::CALLS ? CALLS_BYTES : BASE_BYTES) + COPIES_OF_INPUT * std::strlen(request);
    const auto  render = [&] {
        const auto known  = common_chat_templates_get_caps(static_cast<const common_chat_templates *>(templates));
        const auto asked  = common_json::parse(request);
        auto       inputs = inputs_of(asked, learn);
        inputs.parallel_tool_calls =
            flag(asked, "parallel_tool_calls", known.at("supports_parallel_tool_calls"));
        const auto params =
            common_chat_templates_apply(static_cast<const common_chat_templates *>(templates), inputs);
        common_json result          = common_json::object();
        result["prompt"]            = params.prompt;
        result["format"]            = static_cast<int>(params.format);
        result["parser"]            = params.parser;
        result["generation_prompt"] = params.generation_prompt;
        result["stops"]             = params.additional_stops;
        result["thinks"]            = params.supports_thinking;
        result["thoughts_begin"]    = params.thinking_start_tag;
        result["thoughts_end"]      = params.thinking_end_tags;
        result["knows_tools"]       = known.at("supports_tools") || known.at("supports_tool_calls");
        result["grammar"]           = params.grammar;
        result["grammar_lazy"]      = params.grammar_lazy;
        result["triggers"]          = triggers_of(params.grammar_triggers);
        result["preserved"]         = params.preserved_tokens;
        return result.dump();
    };
    return guarded(bytes, cpu_ms, out, render);
}

// 0 and a parser of answers for what rendering gave, or what went wrong.
int rkllmjs_chat_parser_new(const char * parameters, void ** parser, char ** message) {
    *parser = nullptr;
    return guarded(std::strlen(parameters), message, [&] {
        auto params = parser_of(common_json::parse(parameters));
        *parser     = new common_chat_parser_params(std::move(params));
        return std::string();
    });
}

void rkllmjs_chat_parser_free(void * parser) {
    delete static_cast<common_chat_parser_params *>(parser);
}

// Parses an answer into a message. `partial`: more text may follow; otherwise `whole` says whether the
// last call is complete.
int rkllmjs_chat_parser_parse(const void * parser, const char * answer, int partial, char ** out) {
    return guarded(ANSWER_BYTES + ANSWER_COPIES * std::strlen(answer), out, [&] {
        const auto & params = *static_cast<const common_chat_parser_params *>(parser);
        // Said to be partial, an answer that has lost its form gives what was made out before: not always the same.
        auto message        = common_chat_parse(answer, /* is_partial = */ false, params).to_json_oaicompat();
        if (partial == 0) {
            message["whole"] = is_whole(params, answer);
        }
        return message.dump();
    });
}
}
