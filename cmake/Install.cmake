# `cmake --install build/release` lays down the program, the headers, a library per room, and a CMake package:
#
#   find_package(plimsoll REQUIRED)
#   target_link_libraries(shop PRIVATE plimsoll::plimsoll)          # rooms by themselves: plimsoll::testkit, …
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(plimsoll_everything PROPERTIES EXPORT_NAME plimsoll)
target_compile_features(plimsoll_everything INTERFACE cxx_std_23)
install(TARGETS plimsoll RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS plimsoll_everything ${PLIMSOLL_ROOMS} EXPORT plimsoll-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
# Only what a program may include (scripts/public-headers): never a header of a test.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/public-headers.txt)
file(STRINGS cmake/public-headers.txt headers)
foreach(header ${headers})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
endforeach()
# A Task that outlives what it refers to is an error in programs that link the library, as it is in our own build.
target_compile_definitions(plimsoll_base INTERFACE $<INSTALL_INTERFACE:$<$<COMPILE_LANG_AND_ID:CXX,Clang>:PLIMSOLL_CHECK_TASKS>>)
target_compile_options(plimsoll_base INTERFACE $<INSTALL_INTERFACE:$<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Werror=dangling>>)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/plimsoll)
install(EXPORT plimsoll-targets NAMESPACE plimsoll:: DESTINATION ${package})
configure_package_config_file(cmake/plimsoll-config.cmake.in ${CMAKE_BINARY_DIR}/plimsoll-config.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/plimsoll-config-version.cmake COMPATIBILITY SameMinorVersion)
# What the library links, found in the same way as here.
install(FILES ${CMAKE_BINARY_DIR}/plimsoll-config.cmake ${CMAKE_BINARY_DIR}/plimsoll-config-version.cmake cmake/Libraries.cmake DESTINATION ${package})
