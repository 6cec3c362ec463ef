// A program that links the library and calls the GraphQL service of the upstream `shop`:
//
//   graphql_server CONTRACT [the options of `plimsoll serve`]
//
// Each operation gives the response of the service as it is understood here: its data, its errors, or the problem.

#include "plimsoll/handler/upstream/argument.hpp"
#include "plimsoll/server/application.hpp"

#include <optional>
#include <string>
#include <vector>

namespace {

using namespace plimsoll;

struct Book {
  std::string id, title;
  std::optional<double> price;
  std::optional<std::string> secret;
};
struct OneBook {
  std::optional<Book> book;
};
struct Added {
  Book addBook;
};
struct Runs {
  std::int64_t runs;
};

struct Told {
  std::string message, path, code;
};
template <class T>
struct Given {
  std::optional<T> data;
  std::vector<Told> errors;
};
template <class T>
Given<T> given(GraphqlAnswer<T> answer) {
  Given<T> made{.data = std::move(answer.data), .errors = {}};
  for (const auto& error : answer.errors) made.errors.push_back({error.message, error.path, std::string(error.code())});
  return made;
}

struct Id {
  std::string id;
};
struct Title {
  std::string title;
};

Task<Result<Json<Given<OneBook>>>> book(Upstream<"shop"> shop, Parameter<"id"> id) {
  auto answer = co_await shop.graphql<OneBook>({.query = "query ($id: ID!) { book(id: $id) { id title price } }"},
                                               Id{std::string(*id)});
  if (!answer) co_return passed_on(answer);
  co_return given(std::move(*answer));
}

Task<Result<Json<Given<OneBook>>>> secret(Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<OneBook>(
      {.query = "query Open { runs } query Secret { book(id: 1) { id title secret } }", .operation = "Secret"});
  if (!answer) co_return passed_on(answer);
  co_return given(std::move(*answer));
}

Task<Result<Json<Given<Runs>>>> wrong(Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<Runs>({.query = "{ runs nothing }"});
  if (!answer) co_return passed_on(answer);
  co_return given(std::move(*answer));
}

Task<Result<Json<Runs>>> runs(Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<Runs>({.query = "{ runs }", .get = true});
  if (!answer) co_return passed_on(answer);
  co_return std::move(*answer).whole();
}

Task<Result<Json<Runs>>> persisted(Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<Runs>({.query = "{ runs }", .persisted = true});
  if (!answer) co_return passed_on(answer);
  co_return std::move(*answer).whole();
}

Task<Result<Json<Runs>>> posted(Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<Runs>({.query = "{ runs }"});
  if (!answer) co_return passed_on(answer);
  co_return std::move(*answer).whole();
}

Task<Result<Json<Added>>> add(Upstream<"shop"> shop, JsonBody<Title> body) {
  auto answer = co_await shop.graphql<Added>(
      {.query = "mutation ($title: String!) { addBook(title: $title) { id title } }", .get = true}, *body);
  if (!answer) co_return passed_on(answer);
  co_return std::move(*answer).whole();
}

}  // namespace

int main(int argc, char** argv) {
  Application application{argc > 1 ? argv[1] : "graphql.yaml"};
  application.on("book", book).on("secret", secret).on("wrong", wrong);
  application.on("runs", runs).on("persisted", persisted).on("posted", posted).on("add", add);
  return application.run(argc - 1, argv + 1);
}
