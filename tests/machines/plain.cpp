#include "use.hpp"
#include "use.inl"

int use_in_plain_file(const char* folder, bool with_json) { return use.all("plain", folder, with_json); }
