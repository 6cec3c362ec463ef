#include "plimsoll/exchange/answer.hpp"

namespace plimsoll {

Response content_response(Context& context, FieldText media_type, Body body, std::uint16_t status) {
  Response response{.status = status, .headers = Headers{context.arena}, .body = std::move(body)};
  response.headers.add("content-type", media_type);
  return response;
}

Response json_text_response(Context& context, std::string text, std::uint16_t status) {
  return content_response(context, "application/json", context.body(std::move(text)), status);
}

Response text_response(Context& context, std::string text, std::uint16_t status) {
  return content_response(context, "text/plain; charset=utf-8", context.body(std::move(text)), status);
}

Response empty_response(Context& context) { return {.status = 204, .headers = Headers{context.arena}}; }

}  // namespace plimsoll
