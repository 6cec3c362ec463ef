# What nearly every source includes is compiled once per tree and shared by all targets (0.8 s saved per source, 1.4 s per target that
# would otherwise make its own). Tests share a second one that also holds GoogleTest.
#
# ccache takes the content of a precompiled header into the key of each object, and that content holds absolute paths: no clone would
# ever find what another compiled. It takes the text beside it instead (`.sum`) when told so; here that is the hash of what the
# preprocessor makes of the header, the compiler and the flags. CMake also names the header itself, by a path that ccache cannot make
# relative; the precompiled one says it all.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH -Xclang -include-pch -Xclang <PCH_FILE>)
endif()

function(plimsoll_precompiled target)
  file(WRITE ${CMAKE_BINARY_DIR}/empty.cpp.new "")
  file(COPY_FILE ${CMAKE_BINARY_DIR}/empty.cpp.new ${CMAKE_BINARY_DIR}/empty.cpp ONLY_IF_DIFFERENT)
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/empty.cpp)
  target_link_libraries(${target} PRIVATE plimsoll_flags)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  if(CCACHE)
    set(text "")
    foreach(header ${ARGN})
      string(APPEND text "#include ${header}\n")
    endforeach()
    string(REGEX REPLACE "#include (/[^\n]*)" "#include \"\\1\"" text "${text}")
    file(WRITE ${CMAKE_BINARY_DIR}/${target}.hpp "${text}")
    string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
    separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}}")
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -std=c++23 ${flags} -E -P -x c++-header ${CMAKE_BINARY_DIR}/${target}.hpp
      OUTPUT_VARIABLE preprocessed RESULT_VARIABLE failed ERROR_QUIET)
    if(NOT failed)
      string(SHA256 sum "${preprocessed}${CMAKE_CXX_COMPILER_VERSION}${flags}${PLIMSOLL_SANITIZE}${PLIMSOLL_FUZZ}")
      file(WRITE ${CMAKE_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.pch.sum "${sum}")
    endif()
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/precompiled.hpp)
endfunction()
