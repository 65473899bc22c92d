# llama-cpp-sys-2 pins GGML_CPU_ARM_ARCH to armv8-a on its command line, which wins over the environment.
# CMAKE_PROJECT_INCLUDE brings this file in after that, and before ggml reads the variable.
if(DEFINED ENV{RKLLMJS_ARM_ARCHITECTURE})
    set(GGML_CPU_ARM_ARCH "$ENV{RKLLMJS_ARM_ARCHITECTURE}" CACHE STRING "set by rkllmjs" FORCE)
endif()
