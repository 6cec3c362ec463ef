# g++ 12 miscompiles coroutines without a warning: double frees in patterns that look ordinary. It is refused here, not found at night.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines; build with clang 19 (CXX=clang++-19) or g++ 13 or later.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Assertions cost nothing beside what they find: only the optimised program goes without.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
set(CMAKE_CXX_FLAGS_TEST "-O1 -g1" CACHE STRING "For tests: assertions on, quick enough to run in numbers" FORCE)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

add_library(plimsoll_flags INTERFACE)
target_compile_options(plimsoll_flags INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers
  $<$<NOT:$<CONFIG:Release>>:-fno-omit-frame-pointer>)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Threads a Task's lifetime through the compiler: a Task that outlives its arguments is an error in our own build.
  target_compile_definitions(plimsoll_flags INTERFACE PLIMSOLL_CHECK_TASKS)
  target_compile_definitions(plimsoll_flags INTERFACE $<$<CONFIG:Debug,Test>:PLIMSOLL_CRASH_POINTS>)
  target_compile_options(plimsoll_flags INTERFACE -Werror=dangling -Wno-missing-designated-field-initializers
    $<$<COMPILE_LANGUAGE:CXX>:-Xclang> $<$<COMPILE_LANGUAGE:CXX>:-fno-pch-timestamp>)
  find_program(LLD NAMES ld.lld-19 ld.lld)
  if(LLD)
    add_link_options(--ld-path=${LLD})
    # The optimised program is compiled as a whole (ThinLTO): 4 to 6 % fewer instructions a request. Objects have code beside their
    # bitcode, so that the installed libraries link with any compiler and linker.
    target_compile_options(plimsoll_flags INTERFACE "$<$<CONFIG:Release>:-flto=thin;-ffat-lto-objects>")
    add_link_options("$<$<CONFIG:Release>:-flto=thin;-Wl,--fat-lto-objects;-Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/thinlto>")
  endif()
  # What the optimised program runs often is laid out together, and the rest apart, by counts that `make profile` took under the load of bench/training.py:
  # a tenth fewer instructions a request. A function that was changed since is compiled as if there were no counts. Static functions are named without
  # the path of their file, which differs from clone to clone.
  set(PLIMSOLL_PROFILE "${CMAKE_SOURCE_DIR}/cmake/plimsoll.profdata" CACHE STRING "Counts of the optimised program; `count`: one that counts; empty: neither")
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND PLIMSOLL_PROFILE)
    add_compile_options("SHELL:-mllvm -static-func-full-module-prefix=false")
    if(PLIMSOLL_PROFILE STREQUAL "count")
      add_compile_options(-fprofile-generate -fprofile-update=atomic)
      add_link_options(-fprofile-generate)
    else()
      # Under the name of what it holds, so that other counts compile everything anew.
      file(SHA256 "${PLIMSOLL_PROFILE}" counts)
      string(SUBSTRING ${counts} 0 8 counts)
      configure_file("${PLIMSOLL_PROFILE}" ${CMAKE_BINARY_DIR}/counts-${counts}.profdata COPYONLY)
      add_compile_options(-fprofile-use=${CMAKE_BINARY_DIR}/counts-${counts}.profdata -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin)
    endif()
  endif()
endif()
if(PLIMSOLL_SANITIZE)
  add_compile_options(-fsanitize=${PLIMSOLL_SANITIZE} -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${PLIMSOLL_SANITIZE})
endif()
if(PLIMSOLL_FUZZ AND PLIMSOLL_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
elseif(PLIMSOLL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=address,undefined)
endif()
