#include "plimsoll/server/html.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"

namespace plimsoll::server {

std::string escaped_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

namespace {

/// In the page itself: it is needed wherever the page is, also where `docs` is off.
constexpr std::string_view kStyle =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b2733;--faint:#5b6b7a;--line:#dde3e9;--accent:#0b5cad;"
    "--code:#f1f4f7}"
    "@media(prefers-color-scheme:dark){:root{--paper:#12181f;--ink:#dfe7ee;--faint:#93a3b2;--line:#2b3742;"
    "--accent:#6db3f5;--code:#1e2832}}"
    "body{margin:0 auto;max-width:62rem;padding:1.6rem 1.2rem 4rem;background:var(--paper);color:var(--ink);"
    "font:15px/1.55 system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif;overflow-wrap:break-word}"
    "h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .6rem}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}"
    "a{color:var(--accent)}"
    "code{font:.87em ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;background:var(--code);"
    "border-radius:4px;padding:.1em .35em}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line)}"
    "th{font-size:.8rem;color:var(--faint)}";

}  // namespace

std::string html_page(std::string_view title, const std::string& body) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width, initial-scale=1\"><title>" +
         escaped_html(title) + "</title><style>" + std::string(kStyle) + "</style></head>\n<body>\n<main>\n" + body +
         "</main>\n</body></html>\n";
}

std::string html_page_policy() {
  return "default-src 'none'; style-src 'sha256-" + to_base64(as_text(sha256(kStyle))) +
         "'; frame-ancestors 'none'; base-uri 'none'";
}

}  // namespace plimsoll::server
