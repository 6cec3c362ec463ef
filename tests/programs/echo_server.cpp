// A program that links the library and answers the operation `echo` with what the parser read of the request's body:
//
//   echo_server CONTRACT [the options of `plimsoll serve`]
//
// A number is told as ["n", its text, the integer or null, the double in hexadecimal], an array as ["a", [values]], an
// object as ["o", [[name, value], …]]; all else is told as itself.

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/application.hpp"

#include <cstdio>

namespace {

using namespace plimsoll;

void tell(json::Writer& out, const json::Value& value) {
  switch (value.type()) {
    case json::Type::number: {
      char text[64];
      std::snprintf(text, sizeof text, "%a", value.number());
      out.begin_array().string("n").string(value.number_text());
      if (const auto integer = value.integer())
        out.integer(*integer);
      else
        out.null();
      out.string(text).end_array();
      return;
    }
    case json::Type::array:
      out.begin_array().string("a").begin_array();
      for (const auto& item : value.array()) tell(out, item);
      out.end_array().end_array();
      return;
    case json::Type::object:
      out.begin_array().string("o").begin_array();
      for (const auto& member : value.object()) {
        out.begin_array().string(member.key);
        tell(out, member.value);
        out.end_array();
      }
      out.end_array().end_array();
      return;
    default: out.value(value);
  }
}

Task<Result<Response>> echo(Request&, Context& context) {
  std::string text;
  json::Writer out(text);
  if (context.input.body)
    tell(out, *context.input.body);
  else
    out.null();
  Response made{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
  made.headers.add("content-type", "application/json");
  co_return made;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: echo_server CONTRACT [OPTIONS]\n", stderr);
    return 2;
  }
  Application application{argv[1]};
  application.on("echo", echo);
  return application.run(argc - 1, argv + 1);
}
