#pragma once

// What both files offer: they use all of the library, print what came out, and return the exit code.
int use_in_plain_file(const char* folder, bool with_json);
int use_in_newer_file(const char* folder, bool with_json);
