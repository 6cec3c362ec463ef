#include "plimsoll/server/effective.hpp"

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/contract/effective.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/edge/problems.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/shared.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/versions.hpp"

#include <algorithm>
#include <mutex>

namespace plimsoll::server {
namespace {

/// What every request may be answered with, whatever operation it is for: it could not be read, or the process cannot
/// go on with it.
constexpr const Problem* kOfEveryRequest[] = {
    &h1::kMalformed,     &edge::kBodyBroken, &edge::kHeadTooSlow, &edge::kBodyTooSlow,  &http::kBodyTooLarge,
    &h1::kTargetTooLong, &h1::kHeadTooLarge, &h1::kUnknownCoding, &h1::kVersionUnknown, &h1::kExpectationUnknown,
    &kInternal,          &kOutOfMemory,      &kDraining};

void describe_handler(const Description& description, const Answering& answering, contract::Promises& promises) {
  static const json::Value nothing = json::Value::object({});
  const auto& operation = description.operation;
  const auto with = [&](const Handling* way, const json::Value& options) {
    if (!way) return;
    if (way->describe)
      way->describe(options, description, promises);
    else
      promises.refuses(way->problems);
  };
  if (answering.mock_all) return with(handling("mock"), nothing);
  if (answering.handlers && answering.handlers->contains(operation.id)) return promises.refuses(answering.problems);
  for (const auto& extension : operation.extensions)
    if (const auto* way = handling(extension.key)) return with(way, *extension.value);
  if (answering.mock_unbound) return with(handling("mock"), nothing);
  promises.refuses(answering.problems);
}

/// Where a header chooses among several contracts.
void describe_version(const contract::Contract& contract, contract::Promises& promises) {
  const auto* header = contract.extension ? contract.extension->at(kVersionKey.name, "header") : nullptr;
  if (!header || !header->is(json::Type::string)) return;
  promises.takes({header->string(), "The version of the API that is meant."});
  promises.sends(contract::kVary);
  promises.refuses(kUnknownVersion);
}

/// The text of a page, with its encodings once somebody has asked for them.
struct Text final : Encodings {
  explicit Text(std::string bytes)
      : bytes(std::move(bytes)), tag('"' + to_hex(as_text(sha256(this->bytes)).substr(0, 16)) + '"') {}
  const std::string bytes, tag;
};

class EffectivePage final : public Handler {
 public:
  EffectivePage(std::shared_ptr<const contract::Contract> contract, Answering answering, bool extensions)
      : contract_(std::move(contract)), answering_(std::move(answering)), extensions_(extensions) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto text = written();
    if (!text) text = co_await blocking(context.loop, context.services.threads, [this] { return write(); });
    Response response{.status = 200, .headers = Headers{context.arena}};
    const auto verdict = http::evaluate(request.method, request.headers, {.etag = text->tag}, context.wall / kSecond);
    if (verdict == http::Precondition::not_modified) {
      response.status = 304;
    } else {
      response.headers.add("content-type", "application/json");
      response.body = Buffer{text, as_bytes(std::string_view(text->bytes)), text.get()};
    }
    response.headers.add("etag", lasting(context.keep<std::shared_ptr<const Text>>(text)->tag));
    response.headers.add("cache-control", "no-cache");
    co_return response;
  }

 private:
  std::shared_ptr<const Text> written() const {
    const std::scoped_lock lock(mutex_);
    return text_;
  }
  /// Once: who asks meanwhile waits for it.
  std::shared_ptr<const Text> write() {
    const std::scoped_lock writing(writing_);
    if (auto known = written()) return known;
    auto made = std::make_shared<const Text>(effective_contract(*contract_, answering_, extensions_));
    const std::scoped_lock lock(mutex_);
    text_ = std::move(made);
    return text_;
  }

  const std::shared_ptr<const contract::Contract> contract_;
  const Answering answering_;
  const bool extensions_;
  mutable std::mutex mutex_;  ///< of `text_`; held for no longer than it takes to copy a pointer
  std::mutex writing_;
  std::shared_ptr<const Text> text_;
};

}  // namespace

std::string effective_contract(const contract::Contract& contract, const Answering& answering, bool extensions) {
  Shared shared;
  const auto describe = [&](const contract::Operation& operation, contract::Promises& promises) {
    const Description description{
        .contract = contract, .operation = operation, .shared = shared, .mock = answering.mock_all};
    std::vector<const Part*> described;
    for (const auto& row : rows()) {
      if (!row.part->describe || std::ranges::find(described, row.part) != described.end()) continue;
      described.push_back(row.part);
      row.part->describe(operation.extension(row.part->key.name), description, promises);
    }
    describe_handler(description, answering, promises);
    describe_version(contract, promises);
    promises.refuses(kOfEveryRequest);
  };
  return contract::effective_document(contract, describe, extensions);
}

std::unique_ptr<Handler> effective_page(std::shared_ptr<const contract::Contract> contract, Answering answering,
                                        bool extensions) {
  return std::make_unique<EffectivePage>(std::move(contract), std::move(answering), extensions);
}

}  // namespace plimsoll::server
