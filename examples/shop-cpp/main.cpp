#include "operations.hpp"

int main(int argc, char** argv) {
  plimsoll::Application application{shop::contract()};
  shop::bind(application);
  return application.run(argc, argv);
}
