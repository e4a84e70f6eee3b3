# cmake -D HOW=<find_package|add_subdirectory|run_alone|fetch_content> ... -P consume.cmake: see CMakeLists.txt.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGV}")
    message(FATAL_ERROR "${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
set(options -D HOW=${HOW} -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_COMPILER=${COMPILER}
            -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
if(HOW STREQUAL "find_package")
  run(${CMAKE_COMMAND} --install ${SINQ_BINARY_DIR} --prefix ${WORK_DIR}/prefix)
  # g++ makes one instruction of a product and a sum from -O2 on: what is compared with the library is optimized as it is.
  list(APPEND options -D CMAKE_PREFIX_PATH=${WORK_DIR}/prefix -D CMAKE_CXX_FLAGS_DEBUG=-O2)
elseif(HOW STREQUAL "add_subdirectory")
  list(APPEND options -D SINQ_SOURCE_DIR=${SINQ_SOURCE_DIR})
elseif(HOW STREQUAL "run_alone")
  # A machine without a network, Eigen and nlohmann-json.
  list(APPEND options -D SINQ_SOURCE_DIR=${SINQ_SOURCE_DIR} -D FETCHCONTENT_FULLY_DISCONNECTED=ON
       -D CMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -D CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
elseif(HOW STREQUAL "fetch_content")
  # Both the library and, as on a machine without packages, its dependency.
  list(APPEND options -D FETCHCONTENT_SOURCE_DIR_SINQ=${SINQ_SOURCE_DIR}
       -D FETCHCONTENT_SOURCE_DIR_EIGEN=${EIGEN_SOURCE_DIR} -D WITH_IO=OFF)
endif()
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/project -B ${WORK_DIR}/build -G ${GENERATOR} ${options})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
set(programs quantizer runner)
if(HOW STREQUAL "run_alone")
  set(programs runner)
endif()
foreach(program IN LISTS programs)
  run(${WORK_DIR}/build/${program})
  set(output_of_${program} "${output}")
endforeach()
if(HOW STREQUAL "find_package")
  run(${WORK_DIR}/build/quantizer_compiled)
  if(NOT output STREQUAL output_of_quantizer)
    message(FATAL_ERROR "the headers: ${output_of_quantizer}sinq::compiled: ${output}")
  endif()
endif()
