#include "plimsoll/client/aws_signature.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/percent.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

namespace plimsoll::client {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

/// RFC 3986, section 6.2.2 and 5.2.4: without dot segments and empty segments.
std::string normal_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (auto rest = path; !rest.empty();) {
    const auto slash = std::min(rest.find('/'), rest.size());
    const auto segment = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (const auto segment : kept) {
    out += '/';
    append_encoded(out, segment);
  }
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    const auto encoded = [](std::string_view text) {
      std::string plain, out;
      append_encoded(out, append_decoded(plain, text) ? plain : text);
      return out;
    };
    pairs.emplace_back(encoded(pair.substr(0, equals)), encoded(pair.substr(std::min(equals + 1, pair.size()))));
  }
  std::ranges::sort(pairs);
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
  }
  return out;
}

/// Without blanks around it, and one for several within.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += c;
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

struct Fields {
  std::string text, names;
};
Fields canonical_fields(std::span<const std::pair<std::string_view, std::string_view>> fields) {
  std::vector<std::pair<std::string_view, std::string_view>> sorted;
  for (const auto& field : fields)  // behind those of its name: their order counts
    sorted.insert(
        std::ranges::upper_bound(sorted, field.first, {}, &std::pair<std::string_view, std::string_view>::first),
        field);
  Fields made;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, value] = sorted[i];
    if (i > 0 && sorted[i - 1].first == name) {
      made.text.back() = ',';
      made.text.append(canonical_value(value)).append("\n");
      continue;
    }
    made.text.append(name).append(":").append(canonical_value(value)).append("\n");
    made.names.append(made.names.empty() ? "" : ";").append(name);
  }
  return made;
}

}  // namespace

std::string aws_time(Nanoseconds wall) {
  const std::time_t seconds = wall / kSecond;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const auto size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return {text, size};
}

std::string aws_canonical_request(const AwsRequest& request, std::string_view service) {
  const auto fields = canonical_fields(request.fields);
  std::string text(request.method);
  text.append("\n").append(service == "s3" ? std::string(request.path) : normal_path(request.path));
  text.append("\n").append(canonical_query(request.query));
  text.append("\n").append(fields.text).append("\n").append(fields.names);
  text.append("\n").append(request.payload_hash);
  return text;
}

std::string aws_authorization(const AwsKey& key, const AwsRequest& request, std::string_view time) {
  const auto day = time.substr(0, 8);
  const auto scope = std::string(day) + "/" + key.region + "/" + key.service + "/aws4_request";
  const auto digest = sha256(aws_canonical_request(request, key.service));
  const auto to_sign =
      std::string(kAlgorithm) + "\n" + std::string(time) + "\n" + scope + "\n" + to_hex(as_text(digest));
  auto signing = hmac_sha256("AWS4" + key.secret_key, day);
  for (const std::string_view part : {std::string_view(key.region), std::string_view(key.service),
                                      std::string_view("aws4_request"), std::string_view(to_sign)})
    signing = hmac_sha256(as_text(signing), part);
  return std::string(kAlgorithm) + " Credential=" + key.access_key + "/" + scope +
         ",SignedHeaders=" + canonical_fields(request.fields).names + ",Signature=" + to_hex(as_text(signing));
}

}  // namespace plimsoll::client
