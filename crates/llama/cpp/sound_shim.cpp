// Decodes sound with miniaudio, which llama.cpp brings along: WAV, FLAC and MP3 of any rate and with any number of
// channels, as one channel of another rate. It is C in one header; nothing of it but the decoders is compiled.
#include <cstddef>
#include <cstdint>
#include <memory>

#define MINIAUDIO_IMPLEMENTATION
#define MA_API static
#define MA_NO_DEVICE_IO
#define MA_NO_ENCODING
#define MA_NO_ENGINE
#define MA_NO_GENERATION
#define MA_NO_NODE_GRAPH
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_STDIO
#define MA_NO_THREADING
// The one name that it does not keep to itself; llama.cpp compiles the same header.
#define ma_atomic_global_lock rkllmjs_sound_lock
#include "miniaudio/miniaudio.h"

#include "guarded.h"

using rkllmjs::guarded;

namespace {

ma_encoding_format format_of(int32_t kind) {
    switch (kind) {
        case 1: return ma_encoding_format_wav;
        case 2: return ma_encoding_format_flac;
        default: return ma_encoding_format_mp3;
    }
}

}  // namespace

extern "C" {

// A decoder of these bytes, which must outlive it; null if they are no sound of that kind: 1 WAV, 2 FLAC, 3 MP3.
void * rkllmjs_sound_open(const uint8_t * bytes, size_t length, int32_t kind, uint32_t rate) {
    return guarded<void *>(nullptr, [&]() -> void * {
        ma_decoder_config config = ma_decoder_config_init(ma_format_f32, 1, rate);
        config.encodingFormat = format_of(kind);
        auto decoder = std::make_unique<ma_decoder>();
        if (ma_decoder_init_memory(bytes, length, &config, decoder.get()) != MA_SUCCESS) {
            return nullptr;
        }
        return decoder.release();
    });
}

// Reads up to `most` samples: how many, 0 at the end or where the rest cannot be read.
uint64_t rkllmjs_sound_read(void * decoder, float * samples, uint64_t most) {
    return guarded<uint64_t>(0, [&] {
        ma_uint64 count = 0;
        ma_decoder_read_pcm_frames(static_cast<ma_decoder *>(decoder), samples, most, &count);
        return static_cast<uint64_t>(count);
    });
}

void rkllmjs_sound_close(void * decoder) {
    guarded<int>(0, [&] {
        ma_decoder_uninit(static_cast<ma_decoder *>(decoder));
        delete static_cast<ma_decoder *>(decoder);
        return 0;
    });
}

}  // extern "C"
