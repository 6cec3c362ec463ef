#include "plimsoll/http/field_block.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <atomic>

namespace plimsoll {

bool details::is_framing_of_that_length(std::string_view name) {
  for (auto each : {"upgrade", "connection", "keep-alive", "content-length", "proxy-connection", "transfer-encoding"})
    if (same_as_lower(name, each)) return true;
  return false;
}

bool FixedFields::add(std::string_view name, std::string_view value) {
  const bool lower_case = std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!is_token(name) || !lower_case || is_framing(name)) return false;
  if (find_control(value.data(), 0, value.size()) != value.size()) return false;

  std::vector<char> text;
  text.reserve(text_.size() + name.size() + value.size() + 4);
  std::vector<Header> views;
  const auto put = [&](std::string_view piece) {
    const auto at = text.size();
    text.insert(text.end(), piece.begin(), piece.end());
    return std::string_view{text.data() + at, piece.size()};
  };
  const auto field = [&](const Header& from) {
    put("\r\n");
    const auto its_name = put(from.name);
    put(": ");
    views.push_back({its_name, put(from.value)});
  };
  for (const auto& each : views_) field(each);
  field({name, value});
  text_ = std::move(text);  // vectors that are moved keep their memory, and so the views stay good
  views_ = std::move(views);
  lines = {text_.data(), text_.size()};
  fields = views_;
  marks |= Headers::mark(name);
  static std::atomic<std::uint64_t> numbered = 0;
  unchanging = ++numbered;
  return true;
}

}  // namespace plimsoll
