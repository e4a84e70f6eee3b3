# cmake -D "COMMAND=program;arguments..." -D MESSAGE=<text> -P SinqExpectMistake.cmake: the command must fail with that text on
# stderr, in few lines, and not by a crash.
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result MATCHES "^[0-9]+$" OR result EQUAL 0)
  message(FATAL_ERROR "ended with '${result}'; stderr: ${errors}")
endif()
string(FIND "${errors}" "${MESSAGE}" position)
string(LENGTH "${errors}" length)
if(position EQUAL -1 OR length GREATER 600)
  message(FATAL_ERROR "stderr does not just say '${MESSAGE}': ${errors}")
endif()
