#include "plimsoll/client/http_versions.hpp"

namespace plimsoll::config {

using client::HttpVersions;

Result<HttpVersions> Form<HttpVersions>::read(const json::Value& from) {
  if (from.is(json::Type::string)) {
    const auto text = from.string();
    if (text == "auto") return HttpVersions::negotiated;
    if (text == "1" || text == "2") return text == "1" ? HttpVersions::one : HttpVersions::two;
  } else if (const auto number = Form<std::int64_t>::read(from); number && (*number == 1 || *number == 2)) {
    return *number == 1 ? HttpVersions::one : HttpVersions::two;
  }
  return wrong(from, "the version of HTTP is 1, 2 or auto");
}

std::string Form<HttpVersions>::show(HttpVersions value) {
  switch (value) {
    case HttpVersions::one: return "1";
    case HttpVersions::two: return "2";
    case HttpVersions::negotiated: break;
  }
  return R"("auto")";
}

}  // namespace plimsoll::config
