include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sinq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN "*.hpp")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/sinq)
install(TARGETS sinq sinq_run sinq_io EXPORT sinqTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/sinq)
set(architecture ARCH_INDEPENDENT)
if(SINQ_BUILD_COMPILED)
  install(TARGETS sinq_compiled EXPORT sinqTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sinq)
  set(architecture)
endif()
install(EXPORT sinqTargets NAMESPACE sinq:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/sinqConfig.cmake.in ${PROJECT_BINARY_DIR}/sinqConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sinqConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ${architecture})
install(FILES ${PROJECT_BINARY_DIR}/sinqConfig.cmake ${PROJECT_BINARY_DIR}/sinqConfigVersion.cmake
        DESTINATION ${package_dir})
