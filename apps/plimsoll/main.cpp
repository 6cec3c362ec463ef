#include <cstdio>

int main() {
  std::puts("plimsoll " PLIMSOLL_VERSION);
  return 0;
}
