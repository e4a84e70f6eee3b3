#include "use.hpp"
#include "use.inl"

int use_in_newer_file(const char* folder, bool with_json) { return use.all("newer", folder, with_json); }
