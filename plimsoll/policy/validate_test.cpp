#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

namespace plimsoll::policy {
extern const Part validate;
namespace {

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
class Echo final : public Handler {
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
    out.end_object();
    co_return Response{.headers = Headers{context.arena}, .body = context.arena.keep(text)};
  }
};

std::string unescape(std::string_view text) {
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

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

struct Case {
  std::string method, target, body, expected;
  std::vector<std::pair<std::string, std::string>> headers;
  bool has_body = false;
};

Case parse(std::string_view line) {
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

class Requests : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    static constexpr const config::Key* keys[] = {&validate.key};
    auto loaded = contract::load({.file = PLIMSOLL_SOURCE_DIR "/tests/fixtures/requests/contract.yaml", .keys = keys});
    if (!loaded) {
      for (auto& complaint : loaded.error()) ADD_FAILURE() << to_string(complaint);
      return;
    }
    contract_ = *loaded;
    for (auto& operation : contract_->operations) {
      auto made = validate.build(validate, operation.extension("validate"), {*contract_, operation, services_});
      ASSERT_TRUE(made) << made.error().detail;
      policies_.push_back(std::move(*made));
    }
  }
  static void TearDownTestSuite() {
    policies_.clear();
    contract_.reset();
  }

  /// What the case's right side should say.
  std::string answer(const Case& c, std::size_t piece) {
    Arena arena;
    Loop loop;
    Request request{.method = c.method, .target = c.target, .headers = Headers{arena}};
    const auto mark = c.target.find('?');
    request.path = std::string_view(c.target).substr(0, mark);
    if (mark != c.target.npos) request.query = std::string_view(c.target).substr(mark + 1), request.has_query = true;
    for (auto& [name, value] : c.headers) request.headers.add(name, value);
    Pieces pieces{c.body, piece};
    if (c.has_body) request.body = &pieces;
    if (c.has_body && piece > 1) request.content_length = c.body.size();

    const auto match = contract_->match(request.method, request.path);
    if (match.kind == contract::Match::Kind::not_found) return "404";
    if (match.kind == contract::Match::Kind::method_not_allowed) return "405 " + std::string(match.allow);
    Context context{arena, loop, services_};
    context.operation = match.operation;
    context.path = request.path;
    context.path_values = {match.captured, match.count};
    Echo echo;
    auto& policy = policies_[match.operation->index];
    Link links[] = {policy ? policy->link() : Link{.handler = &echo}, {.handler = &echo}};
    std::string text;
    Scope scope;
    loop.spawn(scope, run(links, request, context, text));
    loop.run();
    return text;
  }

  static Task<> run(const Link* links, Request& request, Context& context, std::string& text) {
    Next next{links};
    auto answer = co_await next(request, context);
    if (answer) {
      text = std::to_string(answer->status) + " " + std::string(std::get<std::string_view>(answer->body));
      co_return;
    }
    const auto& error = answer.error();
    text = std::to_string(error.problem->status) + " " + std::string(error.problem->code);
    const char* between = " ";
    if (error.more_)
      for (auto& field : error.more_->fields) {
        text += between + field.in + " " + field.pointer + " " + field.keyword;
        between = "; ";
      }
  }

  static inline std::shared_ptr<const contract::Contract> contract_;
  static inline std::vector<std::unique_ptr<Policy>> policies_;
  static inline Services services_{};
};

TEST_P(Requests, AreAcceptedWithTheirValuesOrRefusedWithTheReason) {
  std::ifstream in(PLIMSOLL_SOURCE_DIR "/tests/fixtures/requests/" + std::string(GetParam()));
  ASSERT_TRUE(in);
  ASSERT_TRUE(contract_);
  std::size_t cases = 0, accepted = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto c = parse(line);
    ++cases;
    accepted += c.expected.starts_with("200 ");
    EXPECT_EQ(answer(c, 1 << 20), c.expected) << GetParam() << ":" << number << ": " << line;
    if (c.has_body) EXPECT_EQ(answer(c, 1), c.expected) << "byte by byte, " << GetParam() << ":" << number;
  }
  std::printf("%s: %zu requests, %zu accepted\n", GetParam(), cases, accepted);
  RecordProperty("cases", static_cast<int>(cases));
  EXPECT_GE(accepted * 100, cases * 35) << "too few are accepted for the values to be compared";
}

INSTANTIATE_TEST_SUITE_P(Files, Requests, testing::Values("parameters.txt", "bodies.txt"), [](const auto& test) {
  return std::string(test.param).substr(0, std::strlen(test.param) - 4);
});

}  // namespace
}  // namespace plimsoll::policy
