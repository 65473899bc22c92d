# What llama.cpp's build is told that llama-cpp-sys-2 gives no way to tell. CMAKE_PROJECT_INCLUDE brings this file in
# after each project() of it, the one of ggml included. cargo does not see a change of this file: llama.cpp is built
# again in a new target folder.

# llama-cpp-sys-2 pins GGML_CPU_ARM_ARCH to armv8-a on its command line, which wins over the environment. Here it is
# set after that, and before ggml reads it.
if(DEFINED ENV{RKLLMJS_ARM_ARCHITECTURE})
    set(GGML_CPU_ARM_ARCH "$ENV{RKLLMJS_ARM_ARCHITECTURE}" CACHE STRING "set by rkllmjs" FORCE)
endif()

# Much of llama.cpp runs once per model or once per request: two hundred functions that name tensors, the parsers of
# answers, what makes grammars. It is compiled for size; the last -O on a command line counts. ggml, which computes,
# and what runs over a vocabulary, a cache, a prompt, an image or a template keep the -O3 of a release build.
function(rkllmjs_compile_for_size target)
    if(NOT TARGET ${target})
        return()
    endif()
    target_compile_options(${target} PRIVATE -Os)
    get_target_property(folder ${target} SOURCE_DIR)
    list(TRANSFORM ARGN PREPEND "${folder}/" OUTPUT_VARIABLE patterns)
    file(GLOB hot ${patterns})
    set_property(SOURCE ${hot} DIRECTORY "${folder}" APPEND PROPERTY COMPILE_OPTIONS -O3)
endfunction()

# The targets are there at the end of the outermost CMakeLists.txt.
if(PROJECT_NAME STREQUAL "llama.cpp")
    cmake_language(DEFER CALL rkllmjs_compile_for_size llama llama-batch.cpp llama-grammar.cpp llama-graph.cpp
        llama-kv-cache*.cpp llama-memory*.cpp llama-sampler.cpp llama-vocab.cpp unicode.cpp)
    cmake_language(DEFER CALL rkllmjs_compile_for_size llama-common jinja/*.cpp)
    cmake_language(DEFER CALL rkllmjs_compile_for_size mtmd mtmd-audio.cpp mtmd-helper.cpp mtmd-image.cpp)
endif()
