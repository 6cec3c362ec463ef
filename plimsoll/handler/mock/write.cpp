#include "plimsoll/handler/mock/write.hpp"

#include "plimsoll/contract/body.hpp"
#include "plimsoll/http/sse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::handler::mocking {

using contract::BodyKind;
using json::Type;
using json::Value;

namespace {

std::string plain(const Value& value) {
  return value.is(Type::string) ? std::string(value.string()) : json::to_string(value);
}

std::string lines(const Value& value) {
  if (!value.is(Type::array)) return json::to_string(value) + '\n';
  std::string text;
  for (auto& item : value.array()) text += json::to_string(item) + '\n';
  return text;
}

/// Items of a `text/event-stream`: the fields of an event, or else the data of one.
std::string events(const Value& list) {
  const auto text = [](const Value& event, std::string_view field) {
    const auto* value = event.find(field);
    return value && value->is(Type::string) ? value->string() : std::string_view{};
  };
  std::string made;
  for (auto& item : list.array()) {
    const bool event =
        item.is(Type::object) && std::ranges::all_of(item.object(), [](auto& member) {
          return member.key == "data" || member.key == "event" || member.key == "id" || member.key == "retry";
        });
    const auto* data = event ? item.find("data") : &item;
    const auto content = data ? plain(*data) : std::string();
    http::ServerEvent one{.data = content};
    if (event) one.event = text(item, "event"), one.id = text(item, "id");
    if (const auto* retry = event ? item.find("retry") : nullptr) one.retry = retry->integer();
    http::append(made, one);
  }
  return made;
}

}  // namespace

std::string concrete(std::string_view declared) {
  constexpr std::pair<std::string_view, std::string_view> kRanges[] = {
      {"*/*", "application/json"}, {"application/*", "application/json"},
      {"text/*", "text/plain"},    {"image/*", "image/png"},
      {"audio/*", "audio/mpeg"},   {"video/*", "video/mp4"}};
  const auto type = declared.substr(0, declared.find(';'));
  for (const auto& [range, one] : kRanges)
    if (type == range) return std::string(one) + std::string(declared.substr(type.size()));
  std::string made(declared);
  if (const auto star = made.find("/*"); star != made.npos && star < type.size()) made.replace(star + 1, 1, "vnd.mock");
  return made;
}

std::optional<std::string> written(const Value& value, std::string_view media_type) {
  switch (contract::body_kind(media_type.substr(0, media_type.find(';')))) {
    case BodyKind::json: return json::to_string(value);
    case BodyKind::json_lines: return lines(value);
    case BodyKind::text:
      if (media_type.starts_with(http::kEventStream) && value.is(Type::array)) return events(value);
      if (value.is(Type::array) || value.is(Type::object)) return std::nullopt;
      return plain(value);
    case BodyKind::form:
    case BodyKind::multipart:
    case BodyKind::binary:
      if (!value.is(Type::string)) return std::nullopt;
      return plain(value);
  }
  return std::nullopt;
}

std::string header_text(const Value& value, bool explode, bool json) {
  std::string text;
  const auto add = [&](std::string part) { text += (text.empty() ? "" : ",") + std::move(part); };
  if (json)
    text = json::to_string(value);
  else if (value.is(Type::array))
    for (auto& item : value.array()) add(plain(item));
  else if (value.is(Type::object))
    for (auto& member : value.object()) add(std::string(member.key) + (explode ? "=" : ",") + plain(member.value));
  else
    text = plain(value);
  std::erase_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  return text;
}

}  // namespace plimsoll::handler::mocking
