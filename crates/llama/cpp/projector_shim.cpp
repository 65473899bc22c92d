// The calls of mtmd.h, which turn images into rows for a text model, made safe to call from Rust. Images come as
// pixels: what reads image files here is linked by nobody.
#include <cstddef>
#include <cstring>

#include "guarded.h"
#include "llama.h"
#include "mtmd.h"

using rkllmjs::THROWN;
using rkllmjs::guarded;

namespace {

// Parts of a graph that are computed between two looks at whether to go on.
constexpr int NODES_BETWEEN_LOOKS = 64;

// What may stop the work of this thread.
struct interruption {
    bool (*is_wanted)(const void *);
    const void * data;
    bool happened;
    int nodes;
};

thread_local interruption * watched = nullptr;

struct watching {
    explicit watching(interruption & stop) { watched = &stop; }
    ~watching() { watched = nullptr; }
};

bool is_stopped() {
    if (watched != nullptr && !watched->happened && watched->is_wanted(watched->data)) {
        watched->happened = true;
    }
    return watched != nullptr && watched->happened;
}

// ggml asks which nodes to stop after, and then whether to go on.
bool look_up(ggml_tensor *, bool ask, void *) {
    if (!ask) {
        return !is_stopped();
    }
    return watched != nullptr && ++watched->nodes % NODES_BETWEEN_LOOKS == 0;
}

bool go_on(float, void *) {
    return !is_stopped();
}

void forward_line(ggml_log_level level, const char * text, void * receiver) {
    reinterpret_cast<ggml_log_callback>(receiver)(level, text, nullptr);
}

// What stands for an image or for sound; null if it cannot be cut.
mtmd_input_chunks * cut(const mtmd_context * projector, const mtmd::bitmap & bitmap) {
    mtmd::input_chunks chunks(mtmd_input_chunks_init());
    const mtmd_input_part part{nullptr, bitmap.ptr.get()};
    const mtmd_input_part * parts[] = {&part};
    if (mtmd_tokenize_from_parts(projector, chunks.ptr.get(), parts, 1, false) != 0) {
        return nullptr;
    }
    return chunks.ptr.release();
}

}  // namespace

extern "C" {

// Null if it cannot be loaded or was stopped. `receive` must not throw; it gets the log of all projectors.
mtmd_context * rkllmjs_projector_new(const char * path, const llama_model * model, int32_t threads, bool use_gpu,
                                     int32_t most_rows, ggml_log_callback receive, bool (*is_wanted)(const void *), const void * data) {
    return guarded<mtmd_context *>(nullptr, [&] {
        interruption stop{is_wanted, data, false, 0};
        watching watch(stop);
        mtmd_log_set(forward_line, reinterpret_cast<void *>(receive));
        mtmd_context_params params = mtmd_context_params_default();
        params.use_gpu = use_gpu;
        params.print_timings = false;
        params.n_threads = threads;
        params.image_max_tokens = most_rows;
        params.cb_eval = look_up;
        params.progress_callback = go_on;
        return mtmd_init_from_file(path, model, params);
    });
}

void rkllmjs_projector_free(mtmd_context * projector) {
    guarded<int>(0, [&] {
        mtmd_free(projector);
        return 0;
    });
}

// Samples a second of the sound that it turns into rows, -1 if it takes none.
int32_t rkllmjs_projector_rate(const mtmd_context * projector) {
    return mtmd_get_audio_sample_rate(projector);
}

// 1 if it turns images into rows.
int32_t rkllmjs_projector_sees(const mtmd_context * projector) {
    return mtmd_support_vision(projector) ? 1 : 0;
}

// Cuts an image, three bytes a pixel, into what stands for it. Null if it cannot.
mtmd_input_chunks * rkllmjs_projector_read(const mtmd_context * projector, uint32_t width, uint32_t height,
                                           const uint8_t * pixels) {
    return guarded<mtmd_input_chunks *>(nullptr, [&] { return cut(projector, mtmd::bitmap(width, height, pixels)); });
}

// The same with sound of one channel.
mtmd_input_chunks * rkllmjs_projector_hear(const mtmd_context * projector, size_t count, const float * samples) {
    return guarded<mtmd_input_chunks *>(nullptr, [&] {
        return cut(projector, mtmd::bitmap(mtmd_bitmap_init_from_audio(count, samples)));
    });
}

void rkllmjs_projector_chunks_free(mtmd_input_chunks * chunks) {
    guarded<int>(0, [&] {
        mtmd_input_chunks_free(chunks);
        return 0;
    });
}

// 1 if a chunk is of `count` tokens, 2 if it is of `count` rows that see what is before them, 3 if they see each
// other, 0 where there is none, THROWN.
int32_t rkllmjs_projector_chunk(const mtmd_context * projector, const mtmd_input_chunks * chunks, size_t index,
                                const llama_token ** tokens, size_t * count) {
    return guarded<int32_t>(THROWN, [&] {
        if (index >= mtmd_input_chunks_size(chunks)) {
            return 0;
        }
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks, index);
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
            *tokens = mtmd_input_chunk_get_tokens_text(chunk, count);
            return 1;
        }
        *count = mtmd_input_chunk_get_n_tokens(chunk);
        return mtmd_decode_use_non_causal(projector, chunk) ? 3 : 2;
    });
}

// Where a row of a chunk stands, as four numbers, if its first one stands at 1: for time, line, column and what no model
// has yet. How many places the chunk takes, THROWN.
int32_t rkllmjs_projector_place(const mtmd_input_chunks * chunks, size_t index, size_t row, uint32_t * place) {
    return guarded<int32_t>(THROWN, [&] {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks, index);
        const mtmd_image_tokens * image = mtmd_input_chunk_get_tokens_image(chunk);
        const uint32_t next = static_cast<uint32_t>(row) + 1;
        mtmd_decoder_pos found{next, next, next, next};
        if (image != nullptr) {
            found = mtmd_image_tokens_get_decoder_pos(image, 1, row);
        }
        place[0] = found.t;
        place[1] = found.y;
        place[2] = found.x;
        place[3] = found.z;
        return static_cast<int32_t>(mtmd_input_chunk_get_n_pos(chunk));
    });
}

// Computes the rows of a chunk, `length` numbers: 0 done, 1 failed, 2 stopped, THROWN.
int32_t rkllmjs_projector_compute(mtmd_context * projector, const mtmd_input_chunks * chunks, size_t index,
                                  float * rows, size_t length, bool (*is_wanted)(const void *), const void * data) {
    return guarded<int32_t>(THROWN, [&] {
        interruption stop{is_wanted, data, false, 0};
        watching watch(stop);
        const int32_t status = mtmd_encode_chunk(projector, mtmd_input_chunks_get(chunks, index));
        if (is_stopped()) {
            return 2;
        }
        if (status != 0) {
            return 1;
        }
        std::memcpy(rows, mtmd_get_output_embd(projector), length * sizeof(float));
        return 0;
    });
}

}  // extern "C"
