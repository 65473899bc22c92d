# What llama.cpp's build is told that llama-cpp-sys-2 gives no way to tell. CMAKE_PROJECT_INCLUDE brings this file in
# after each project() of it, the one of ggml included. cargo does not see a change of this file: llama.cpp is built
# again in a new target folder.

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

# ggml's CPU part once for each flavour, as libraries that crates/llama/build.rs takes from `flavours` in the build
# folder. ggml is not told of any: which one computes is chosen when a process starts. What is left of the library that
# ggml would have is one file, so that nothing can use it unnoticed.
function(rkllmjs_add_flavours)
    get_target_property(folder ggml-cpu SOURCE_DIR)
    get_target_property(SOURCES ggml-cpu SOURCES)
    foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS)
        get_target_property(${property} ggml-cpu ${property})
        get_directory_property(of_folder DIRECTORY "${folder}" ${property})
        list(PREPEND ${property} ${of_folder})
    endforeach()
    list(TRANSFORM SOURCES PREPEND "${folder}/")
    file(READ "$ENV{RKLLMJS_FLAVOUR_TABLE}" table)
    string(JSON count LENGTH "${table}")
    math(EXPR last "${count} - 1")
    separate_arguments(wanted UNIX_COMMAND "$ENV{RKLLMJS_FLAVOURS}")
    foreach(index RANGE ${last})
        foreach(field name options definitions)
            string(JSON ${field} GET "${table}" ${index} ${field})
            separate_arguments(${field})
        endforeach()
        if(NOT name IN_LIST wanted)
            continue()
        endif()
        set(target ggml-cpu-${name})
        add_library(${target} STATIC ${SOURCES})
        target_include_directories(${target} PRIVATE ${INCLUDE_DIRECTORIES})
        target_compile_definitions(${target} PRIVATE ${COMPILE_DEFINITIONS} ${definitions})
        target_compile_options(${target} PRIVATE ${COMPILE_OPTIONS} ${options})
        # GCC would have the dynamic linker unite some variables over all libraries, which no tool makes local again.
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
        target_link_libraries(${target} PRIVATE ggml-base)
        target_compile_features(${target} PRIVATE c_std_11 cxx_std_17)
        set_target_properties(${target} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/flavours")
    endforeach()
    set_property(TARGET ggml-cpu PROPERTY SOURCES "${folder}/ggml-cpu/hbm.cpp")
    foreach(property COMPILE_DEFINITIONS INTERFACE_COMPILE_DEFINITIONS)
        get_target_property(definitions ggml ${property})
        list(REMOVE_ITEM definitions GGML_USE_CPU)
        set_property(TARGET ggml PROPERTY ${property} ${definitions})
    endforeach()
endfunction()

# The targets are there at the end of the outermost CMakeLists.txt.
if(PROJECT_NAME STREQUAL "llama.cpp")
    cmake_language(DEFER CALL rkllmjs_compile_for_size llama llama-batch.cpp llama-grammar.cpp llama-graph.cpp
        llama-kv-cache*.cpp llama-memory*.cpp llama-sampler.cpp llama-vocab.cpp unicode.cpp)
    cmake_language(DEFER CALL rkllmjs_compile_for_size llama-common jinja/*.cpp)
    cmake_language(DEFER CALL rkllmjs_compile_for_size mtmd mtmd-audio.cpp mtmd-helper.cpp mtmd-image.cpp)
    cmake_language(DEFER CALL rkllmjs_add_flavours)
endif()
