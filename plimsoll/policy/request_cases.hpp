#pragma once

// For tests: tables of requests, a line each, and a handler that tells what reached it. How a line is written stands at
// the top of tests/fixtures/requests/parameters.txt.

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/write.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::policy {

/// A body in pieces of `piece` bytes.
class Pieces final : public Stream {
 public:
  Pieces(std::string_view text, std::size_t piece) : text_(text), piece_(piece) {}
  Task<Result<Bytes>> read() override {
    const auto next = text_.substr(0, piece_);
    text_.remove_prefix(next.size());
    co_return as_bytes(next);
  }

 private:
  std::string_view text_;
  std::size_t piece_;
};

/// Answers with what reached it.
class Echo : public Handler {
 public:
  Task<Result<Response>> handle(Request& request, Context& context) override {
    std::string text;
    json::Writer out{text};
    if (const auto* id = context.operation->raw->find("operationId")) text += std::string(id->string()) + " ";
    out.begin_object();
    for (std::size_t i = 0; i < context.operation->parameters.size(); ++i)
      if (const auto* value = context.input.parameters[i]) out.key(context.operation->parameters[i].name).value(*value);
    if (context.input.body) out.key("body").value(*context.input.body);
    if (request.body) {
      std::size_t size = 0;
      for (;;) {
        auto piece = co_await request.body->read();
        if (!piece || piece->empty()) break;
        size += piece->size();
      }
      out.key("raw").integer(static_cast<std::int64_t>(size));
    }
    tell_more(out, context);
    out.end_object();
    co_return Response{.headers = Headers{context.arena}, .body = context.kept(text)};
  }

 protected:
  virtual void tell_more(json::Writer&, Context&) {}
};

/// An answer as the right side of a line has it: status and body, or status, code and what was wrong.
inline std::string told(const Result<Response>& answer) {
  if (answer) return std::to_string(answer->status) + " " + std::string(std::get<std::string_view>(answer->body));
  const auto& error = answer.error();
  auto text = std::to_string(error.problem->status) + " " + std::string(error.problem->code);
  const char* between = " ";
  if (error.more_)
    for (auto& field : error.more_->fields) {
      text += between + field.in + " " + field.pointer + " " + field.keyword;
      between = "; ";
    }
  return text;
}

inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case '0': out += '\0'; break;
      case '\\': out += '\\'; break;
      case 'x':
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
        break;
      default: out += text[i];
    }
  }
  return out;
}

inline std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

struct Case {
  std::string method, target, body, expected;
  std::vector<std::pair<std::string, std::string>> headers;
  bool has_body = false;
};

inline Case parse(std::string_view line) {
  Case made;
  const auto arrow = line.rfind(" => ");
  made.expected = unescape(line.substr(arrow + 4));
  line = line.substr(0, arrow);
  if (const auto bars = line.find(" || "); bars != line.npos) {
    made.body = unescape(line.substr(bars + 4));
    made.has_body = true;
    line = line.substr(0, bars);
  }
  const auto space = line.find(' ');
  made.method = line.substr(0, space);
  line.remove_prefix(space + 1);
  auto next = line.find(" | ");
  made.target = trim(line.substr(0, next));
  while (next != line.npos) {
    line.remove_prefix(next + 3);
    next = line.find(" | ");
    const auto field = line.substr(0, next);
    const auto colon = field.find(':');
    made.headers.emplace_back(field.substr(0, colon), trim(field.substr(colon + 1)));
  }
  return made;
}

}  // namespace plimsoll::policy
