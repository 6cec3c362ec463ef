#include "plimsoll/schema/uri.hpp"

#include "plimsoll/base/percent.hpp"

#include <utility>

namespace plimsoll::schema {
namespace {

/// The five parts of a reference (RFC 3986, appendix B); `has_*` tells an empty part from none.
struct Parts {
  std::string_view scheme, authority, path, query, fragment;
  bool has_authority = false, has_query = false, has_fragment = false;
};

bool is_scheme(std::string_view text) {
  if (text.empty() || !((text[0] | 0x20) >= 'a' && (text[0] | 0x20) <= 'z')) return false;
  for (const char c : text) {
    const char lower = static_cast<char>(c | 0x20);
    if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')) return false;
  }
  return true;
}

Parts split(std::string_view text) {
  Parts parts;
  if (const auto hash = text.find('#'); hash != text.npos) {
    parts.has_fragment = true;
    parts.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != text.npos) {
    parts.has_query = true;
    parts.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  if (const auto colon = text.find(':'); colon != text.npos && is_scheme(text.substr(0, colon))) {
    parts.scheme = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (text.starts_with("//")) {
    parts.has_authority = true;
    text.remove_prefix(2);
    parts.authority = text.substr(0, text.find('/'));
    text.remove_prefix(parts.authority.size());
  }
  parts.path = text;
  return parts;
}

std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    if (path.starts_with("../")) {
      path.remove_prefix(3);
    } else if (path.starts_with("./")) {
      path.remove_prefix(2);
    } else if (path.starts_with("/./") || path == "/.") {
      path = path == "/." ? "/" : path.substr(2);
    } else if (path.starts_with("/../") || path == "/..") {
      path = path == "/.." ? "/" : path.substr(3);
      const auto slash = out.rfind('/');
      out.resize(slash == out.npos ? 0 : slash);
    } else if (path == "." || path == "..") {
      path = {};
    } else {
      const auto end = path.find('/', 1);
      out += path.substr(0, end);
      path = end == path.npos ? std::string_view{} : path.substr(end);
    }
  }
  return out;
}

std::string merge(const Parts& base, std::string_view path) {
  if (base.has_authority && base.path.empty()) return "/" + std::string(path);
  const auto slash = base.path.rfind('/');
  return std::string(base.path.substr(0, slash == base.path.npos ? 0 : slash + 1)) + std::string(path);
}

}  // namespace

std::string resolve_uri(std::string_view base_text, std::string_view reference) {
  if (base_text.empty()) return std::string(reference);
  const auto base = split(split_fragment(base_text).first), given = split(reference);
  std::string path;
  auto authority = given;
  auto query = given;
  auto scheme = given.scheme;
  if (!given.scheme.empty() || given.has_authority) {
    path = remove_dot_segments(given.path);
    if (given.scheme.empty()) scheme = base.scheme;
  } else {
    authority = base;
    scheme = base.scheme;
    if (given.path.empty()) {
      path = base.path;
      if (!given.has_query) query = base;
    } else {
      path = remove_dot_segments(given.path.starts_with('/') ? std::string(given.path) : merge(base, given.path));
    }
  }
  std::string out;
  if (!scheme.empty()) out.append(scheme).append(":");
  if (authority.has_authority) out.append("//").append(authority.authority);
  out += path;
  if (query.has_query) out.append("?").append(query.query);
  if (given.has_fragment) out.append("#").append(given.fragment);
  return out;
}

std::pair<std::string_view, std::string_view> split_fragment(std::string_view uri) {
  const auto hash = uri.find('#');
  if (hash == uri.npos) return {uri, {}};
  return {uri.substr(0, hash), uri.substr(hash + 1)};
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  if (!append_decoded(out, text)) return std::nullopt;
  return out;
}

}  // namespace plimsoll::schema
