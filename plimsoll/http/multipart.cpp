#include "plimsoll/http/multipart.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll::http {
namespace {

/// Blanks between a delimiter and the end of its line.
constexpr std::size_t kBlanks = 256;

std::unexpected<Error> malformed(std::string_view what) { return fail(kMultipartMalformed, std::string(what)); }

struct Parameter {
  std::string name, value;
};
/// The next `; name=value` of a field value, which it is taken from. Nothing at the end or where it cannot be read.
std::optional<Parameter> next_parameter(std::string_view& rest) {
  while (!rest.empty() && (rest.front() == ';' || rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  const auto equals = rest.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  Parameter out;
  const auto name = trimmed(rest.substr(0, equals));
  if (!is_token(name)) return std::nullopt;
  std::ranges::transform(name, std::back_inserter(out.name), lower);
  rest.remove_prefix(equals + 1);
  if (!rest.starts_with('"')) {
    const auto end = std::min(rest.find(';'), rest.size());
    out.value = trimmed(rest.substr(0, end));
    rest.remove_prefix(end);
    return out;
  }
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return out;
    }
    // Browsers escape a quote as %22 and send backslashes as they are: only these two are escapes.
    if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) ++i;
    out.value += rest[i];
  }
  return std::nullopt;  // the quote never ends
}

Result<> read_disposition(std::string_view value, PartHead& head, bool& named) {
  const auto type = value.substr(0, value.find(';'));
  if (!same_as_lower(trimmed(type), "form-data")) return malformed("a part is no form-data");
  for (value.remove_prefix(type.size()); !trimmed(value).empty();) {
    const auto parameter = next_parameter(value);
    if (!parameter) return malformed("a Content-Disposition cannot be read");
    if (parameter->name == "name") {
      if (named) return malformed("a part has two names");
      head.name = parameter->value;
      named = true;
    } else if (parameter->name == "filename") {
      head.filename = parameter->value;
      head.has_filename = true;
    } else if (parameter->name.starts_with("name*")) {
      // Some parsers take it for the name (RFC 5987), and RFC 7578 knows it not.
      return malformed("a part has a second name");
    }  // filename* is not for forms (RFC 7578, section 4.2)
  }
  return {};
}

Result<PartHead> read_head(std::string_view text, bool form) {
  PartHead out;
  bool named = false, disposed = false;
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return malformed("a part's field is none");
    const auto value = trimmed(line.substr(colon + 1));
    if (find_control(value.data(), 0, value.size()) != value.size()) return malformed("a control character in a field");
    if (form && same_as_lower(line.substr(0, colon), "content-disposition")) {
      if (std::exchange(disposed, true)) return malformed("a part has two Content-Dispositions");
      if (auto read = read_disposition(value, out, named); !read) return std::unexpected(read.error());
    } else if (same_as_lower(line.substr(0, colon), "content-type")) {
      out.content_type = value;
    } else if (same_as_lower(line.substr(0, colon), "content-transfer-encoding")) {
      if (!same_as_lower(value, "binary") && !same_as_lower(value, "8bit") && !same_as_lower(value, "7bit"))
        return malformed("a part is encoded: RFC 7578, section 4.7 has no such thing");
    }
  }
  if (form && !named) return malformed("a part has no name");
  return out;
}

}  // namespace

std::optional<std::string> multipart_boundary(std::string_view content_type, bool form) {
  constexpr std::string_view kAny = "multipart/";
  const auto end = std::min(content_type.find(';'), content_type.size());
  const auto type = trimmed(content_type.substr(0, end));
  if (form ? !same_as_lower(type, "multipart/form-data")
           : type.size() <= kAny.size() || !same_as_lower(type.substr(0, kAny.size()), kAny))
    return std::nullopt;
  content_type.remove_prefix(end);
  while (auto parameter = next_parameter(content_type)) {
    if (parameter->name != "boundary") continue;
    const auto& value = parameter->value;
    const auto allowed = [](char c) {
      return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
             std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
    };
    if (value.empty() || value.size() > 70 || value.back() == ' ' || !std::ranges::all_of(value, allowed))
      return std::nullopt;
    return value;
  }
  return std::nullopt;
}

MultipartParser::MultipartParser(std::string_view boundary, const MultipartLimits& limits, MultipartParts& to)
    : delimiter_("\r\n--" + std::string(boundary)), limits_(limits), to_(to) {}

Result<> MultipartParser::feed(std::string_view bytes) {
  if (state_ == State::epilogue) return {};  // ignored (RFC 2046, section 5.1.1)
  buffer_.append(bytes);
  for (;;) {
    const auto more = step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
  }
}

Result<> MultipartParser::finish() const {
  if (state_ != State::epilogue) return malformed("the body ends before its last delimiter");
  return {};
}

/// True when there may be more to do with what is in the buffer.
Result<bool> MultipartParser::step() {
  switch (state_) {
    case State::preamble: return content(true);
    case State::delimiter: return after_delimiter();
    case State::head: return head();
    case State::content: return content(false);
    case State::epilogue: buffer_ = {}; return false;
  }
  return false;
}

Result<bool> MultipartParser::content(bool preamble) {
  const auto found = buffer_.find(delimiter_);
  // What could be the beginning of a delimiter waits for its rest.
  const auto sure =
      found != std::string::npos ? found : buffer_.size() - std::min(buffer_.size(), delimiter_.size() - 1);
  if (!preamble && sure > 0) {
    size_ += sure;
    if (size_ > limits_.part)
      return fail(kMultipartTooLarge, "The limit of a part is " + std::to_string(limits_.part) + " bytes.");
    if (auto taken = to_.data(std::string_view(buffer_).substr(0, sure)); !taken) return std::unexpected(taken.error());
  }
  if (found == std::string::npos) {
    buffer_.erase(0, sure);
    return false;
  }
  buffer_.erase(0, found + delimiter_.size());
  if (!preamble)
    if (auto ended = to_.end(); !ended) return std::unexpected(ended.error());
  state_ = State::delimiter;
  return true;
}

/// Behind a delimiter: `--` for the last, else blanks and the end of the line.
Result<bool> MultipartParser::after_delimiter() {
  if (buffer_.size() < 2) return false;
  if (buffer_.starts_with("--")) {
    state_ = State::epilogue;
    return true;
  }
  const auto end = std::min(buffer_.find_first_not_of(" \t"), buffer_.size());
  if (end > kBlanks) return malformed("a delimiter does not end");
  if (end + 1 >= buffer_.size()) return false;
  if (buffer_.compare(end, 2, "\r\n") != 0) return malformed("a delimiter is followed by something else");
  if (++parts_ > limits_.parts)
    return fail(kMultipartTooLarge, "The limit is " + std::to_string(limits_.parts) + " parts.");
  buffer_.erase(0, end);  // the line's end stays: a head may be empty
  state_ = State::head;
  return true;
}

Result<bool> MultipartParser::head() {
  const auto end = buffer_.find("\r\n\r\n");
  // Before the empty line is whole it may stand at the limit: three bytes more tell that it does not.
  if (end == std::string::npos ? buffer_.size() > limits_.part_head + 3 : end > limits_.part_head)
    return fail(kMultipartTooLarge,
                "The limit of a part's header fields is " + std::to_string(limits_.part_head) + " bytes.");
  if (end == std::string::npos) return false;
  // A part without content ends with its head: the line end of the empty line is that of the delimiter (RFC 2046,
  // section 5.1.1).
  const auto behind = std::string_view(buffer_).substr(end + 2);
  if (behind.size() < delimiter_.size() && delimiter_.starts_with(behind)) return false;
  const bool bare = behind.starts_with(delimiter_);
  if (buffer_.find(delimiter_) < end) return malformed("a delimiter stands in a part's head");
  auto read = read_head(std::string_view(buffer_).substr(2, end > 2 ? end - 2 : 0), limits_.form);
  if (!read) return std::unexpected(read.error());
  buffer_.erase(0, bare ? end + 2 : end + 4);
  size_ = 0;
  if (auto begun = to_.begin(std::move(*read)); !begun) return std::unexpected(begun.error());
  state_ = State::content;
  return true;
}

Result<> FormParts::begin(PartHead head) {
  parts.emplace_back().head = std::move(head);
  return {};
}

Result<> FormParts::data(std::string_view piece) {
  auto& part = parts.back();
  part.size += piece.size();
  if (!part.on_disk()) {
    part.memory_.append(piece);
    if (part.memory_.size() <= limits_.in_memory) return {};
    return spool(part);
  }
  if (!write_at(part.file_.get(), piece, part.size - piece.size()))
    return fail(kMultipartStorage, "The disk takes no more.");
  return {};
}

Result<> FormParts::spool(FormPart& part) {
  part.file_ = unnamed_file(directory_);
  if (!part.file_) return fail(kMultipartStorage, "No file can be made for a large part.");
  const auto held = std::exchange(part.memory_, {});
  part.size -= held.size();
  return data(held);
}

Task<Result<std::vector<FormPart>>> read_form(Stream& body, std::string boundary, MultipartLimits limits,
                                              std::string directory) {
  FormParts form{limits, std::move(directory)};
  MultipartParser parser{boundary, limits, form};
  for (;;) {
    const auto piece = co_await body.read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) break;
    if (auto fed = parser.feed(as_text(*piece)); !fed) co_return std::unexpected(fed.error());
  }
  if (auto whole = parser.finish(); !whole) co_return std::unexpected(whole.error());
  co_return std::move(form.parts);
}

}  // namespace plimsoll::http
