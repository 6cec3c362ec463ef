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
install(DIRECTORY plimsoll DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/plimsoll)
install(EXPORT plimsoll-targets NAMESPACE plimsoll:: DESTINATION ${package})
configure_package_config_file(cmake/plimsoll-config.cmake.in ${CMAKE_BINARY_DIR}/plimsoll-config.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/plimsoll-config-version.cmake COMPATIBILITY SameMinorVersion)
# What the library links, found in the same way as here.
install(FILES ${CMAKE_BINARY_DIR}/plimsoll-config.cmake ${CMAKE_BINARY_DIR}/plimsoll-config-version.cmake cmake/Libraries.cmake DESTINATION ${package})
