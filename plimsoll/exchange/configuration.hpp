#pragma once

#include "plimsoll/exchange/arguments.hpp"

#include <string>

namespace plimsoll {

/// The section of `plimsoll.yaml` that is the program's own, as options of a struct T, which has beside them
///
///     static constexpr std::string_view section = "library", sentence = "How the library lends.";
///     static constexpr config::Field fields[] = {config::field<&T::most>("most", "Books a member may have.", {1,
///     100})};
///
/// `application.configuration<T>()` declares it: it is checked, completed and explained like the server's own. A
/// handler takes it as an argument; it has the values of the plan that answers.
template <class T>
class Configuration {
 public:
  explicit Configuration(const T& options) : options_(&options) {}
  const T& operator*() const { return *options_; }
  const T* operator->() const { return options_; }

 private:
  const T* options_;
};

/// The section as the server knows it.
template <class T>
inline constexpr config::Section section_of = config::section<T, T::fields>(T::section, T::sentence);

template <class T>
struct Argument<Configuration<T>> {
  Argument(const Build& build, binding::Mistakes& mistakes) {
    auto read = read_section<T>(build.services, section_of<T>);
    if (read)
      options = std::move(*read);
    else
      mistakes.push_back(read.error().detail);
  }
  const T* read(Request&, Context&, Error*) const { return &options; }
  static Configuration<T> pass(const T* read) { return Configuration<T>{*read}; }
  T options{};
};

}  // namespace plimsoll
