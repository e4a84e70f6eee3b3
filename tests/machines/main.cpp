// machines FOLDER [json] [newer]: the plain file's code, with JSON, and that of the file for a newer machine.
#include "use.hpp"

#include <string_view>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  bool json = false, newer = false;
  for (int i = 2; i < argc; ++i) {
    json = json || std::string_view(argv[i]) == "json";
    newer = newer || std::string_view(argv[i]) == "newer";
  }
  const int plain = use_in_plain_file(argv[1], json);
  return plain != 0 || !newer ? plain : use_in_newer_file(argv[1], json);
}
