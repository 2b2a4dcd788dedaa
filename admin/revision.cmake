# Writes ${OUTPUT}: a header with the revision of the source in ${SOURCE}. Runs with every build, and touches the file
# only when the revision is another.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git describe --always --dirty=+ --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE}
  OUTPUT_VARIABLE REVISION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE STATUS)
if(NOT STATUS EQUAL 0)
  set(REVISION unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#pragma once\n#define MOSAIC_REVISION \"@REVISION@\"\n" @ONLY)
