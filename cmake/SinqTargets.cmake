# Helpers for this project's own tests, examples and benchmarks. Nothing here touches a consumer's targets.

# sinq_add_subdirectories(): every folder below this one that has a CMakeLists.txt, once, in alphabetical order.
function(sinq_add_subdirectories)
  file(GLOB lists CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
  foreach(list IN LISTS lists)
    get_filename_component(folder ${list} DIRECTORY)
    get_property(added GLOBAL PROPERTY SINQ_ADDED_SUBDIRECTORIES)
    if(NOT folder IN_LIST added)
      set_property(GLOBAL APPEND PROPERTY SINQ_ADDED_SUBDIRECTORIES ${folder})
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

# Warnings of the project's own programs (and so of the headers they include).
function(sinq_set_warnings target)
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
                                             -Wdouble-promotion $<$<CXX_COMPILER_ID:GNU>:-Wuseless-cast>
                                             $<$<BOOL:${SINQ_WARNINGS_AS_ERRORS}>:-Werror>)
  elseif(MSVC)
    target_compile_options(${target} PRIVATE /W4 $<$<BOOL:${SINQ_WARNINGS_AS_ERRORS}>:/WX>)
  endif()
endfunction()

# sinq_share_headers(<name> HEADERS <headers>... LIBS <libraries>...): with SINQ_PRECOMPILE, targets that are given to
# sinq_precompile(<target> <name>) start from these headers, which are read once.
function(sinq_share_headers name)
  if(NOT SINQ_PRECOMPILE)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "HEADERS;LIBS" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "// CMake makes precompiled headers for a source.\n")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE sinq::sinq sinq::compiled ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF UNITY_BUILD OFF)
  sinq_set_warnings(${name})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  sinq_tell_ccache(${name})
endfunction()

# Flags without which ccache keeps nothing that was compiled with precompiled headers.
function(sinq_tell_ccache target)
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
                                           "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()

# Of no use to targets with flags of their own: compilers refuse headers that were precompiled with others.
function(sinq_precompile target name)
  if(TARGET ${name})
    target_precompile_headers(${target} REUSE_FROM ${name})
    sinq_tell_ccache(${target})
  endif()
endfunction()

# Splits "<name> <sources>... [SOURCES <sources>...] [LIBS <libraries>...] [HEADER_ONLY] [flags]" and makes the
# executable, from headers and sinq::compiled, or from headers alone.
# Sets `name` and the flags' ARG_<flag> in the caller.
macro(sinq_make_executable flags)
  cmake_parse_arguments(ARG "HEADER_ONLY;${flags}" "NAME" "SOURCES;LIBS" ${ARGN})
  set(positional ${ARG_UNPARSED_ARGUMENTS})
  set(name ${ARG_NAME})
  if(NOT name)
    list(POP_FRONT positional name)
  endif()
  add_executable(${name} ${positional} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE sinq::sinq ${ARG_LIBS})
  if(NOT ARG_HEADER_ONLY)
    target_link_libraries(${name} PRIVATE sinq::compiled)
  endif()
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  sinq_set_warnings(${name})
endmacro()

# sinq_add_test(<name> <sources>... [LIBS <libraries>...] [HEADER_ONLY] [OWN_FLAGS] [ONE_PROCESS])
# A GoogleTest program; ctest sees each of its tests as <name>.<suite>.<test>, or, with ONE_PROCESS (for many short
# tests), the program as one. Headers of tests/support are included as "support/x.hpp". OWN_FLAGS: it is not compiled
# with SINQ_TEST_OPTIONS, and may add flags.
function(sinq_add_test)
  sinq_make_executable("ONE_PROCESS;OWN_FLAGS" ${ARGN})
  if(NOT ARG_OWN_FLAGS AND NOT ARG_HEADER_ONLY)
    target_compile_options(${name} PRIVATE ${SINQ_TEST_OPTIONS})
    sinq_precompile(${name} sinq_test_headers)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE GTest::gmock GTest::gtest_main)
  if(ARG_ONE_PROCESS)
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    # Whole programs before single tests, so that none of them is left alone at the end.
    set_tests_properties(${name} PROPERTIES COST 10)
  else()
    gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120)
  endif()
endfunction()

# sinq_add_example(<name> <sources>... [LIBS <libraries>...])
# A program; the CMakeLists.txt that makes it also adds the tests that run it.
function(sinq_add_example)
  sinq_make_executable("" ${ARGN})
endfunction()

# sinq_add_benchmark(<name> <sources>... [LIBS <libraries>...])
function(sinq_add_benchmark)
  sinq_make_executable("" ${ARGN})
  target_link_libraries(${name} PRIVATE benchmark::benchmark)
endfunction()

# sinq_add_mistake_test(<test name> <text> <program> <arguments>...)
# Whoever calls the program so is told <text> on stderr, and the exit code is not 0.
function(sinq_add_mistake_test name text program)
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=$<TARGET_FILE:${program}>;${ARGN}" "-DMESSAGE=${text}"
                                -P ${PROJECT_SOURCE_DIR}/cmake/SinqExpectMistake.cmake)
endfunction()
