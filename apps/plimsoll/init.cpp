#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/init_from.hpp"
#include "plimsoll/server/reference.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace plimsoll::command {
namespace {

constexpr std::string_view kContract = R"(# yaml-language-server: $schema=.plimsoll/contract.schema.json
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}

x-plimsoll:
  authorization: any-caller
  tables:
    notes:
      schema: '#/components/schemas/Note'   # its properties are the columns
      key: id
      filters: {title: [eq, like], created_at: [ge, lt]}
      sort: [created_at, title]

paths:
  /notes:
    get:
      operationId: listNotes
      summary: Notes, a page at a time
      security: []
      x-plimsoll: {table: notes}
      responses: {'200': {description: A page of notes}}
    post:
      operationId: createNote
      summary: Writes a note
      security: []
      x-plimsoll: {table: notes}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}
      responses: {'201': {description: The note}}
  /notes/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
    get:
      operationId: readNote
      summary: One note
      security: []
      x-plimsoll: {table: notes}
      responses: {'200': {description: The note}}
    patch:
      operationId: updateNote
      summary: Changes a note
      security: []
      x-plimsoll: {table: notes}
      requestBody:
        required: true
        content: {application/merge-patch+json: {schema: {type: object}}}
      responses: {'200': {description: The note}}
    delete:
      operationId: deleteNote
      summary: Removes a note
      security: []
      x-plimsoll: {table: notes}
      responses: {'204': {description: It is gone}}

components:
  schemas:
    Note:
      type: object
      required: [title]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        title: {type: string, minLength: 1, maxLength: 200}
        text: {type: [string, 'null'], maxLength: 10000}
        created_at: {type: string, format: date-time, readOnly: true}
)";

constexpr std::string_view kDeployment =
    R"(# yaml-language-server: $schema=.plimsoll/deployment.schema.json
# The configuration of the server. `plimsoll config --explain` lists every option.
listen: ['127.0.0.1:8080']
management: '127.0.0.1:9180'
database: {url: 'sqlite:notes.db'}
telemetry: {log: info}
)";

/// Never over a file that is there.
bool write_new(const std::filesystem::path& path, std::string_view text, int& status) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) {
    const bool exists = errno == EEXIST;
    status = complain(
        path.string() + (exists ? " already exists" : std::string(" cannot be written: ") + std::strerror(errno)), {},
        exists ? "Choose another folder: `plimsoll init FOLDER`." : "Choose a folder that can be written.");
    return false;
  }
  const auto written = ::write(file, text.data(), text.size());
  ::close(file);
  if (written == static_cast<ssize_t>(text.size())) return true;
  status = complain(path.string() + " could not be written completely", {}, "Is the disk full?");
  return false;
}

/// The folder with the schemas that editors complete and check both files by.
int write_both(const std::string& name, const std::string& contract_name, std::string_view contract,
               std::string_view deployment) {
  const std::filesystem::path folder(name);
  std::error_code error;
  // All or none: a folder that has one of them is another deployment's.
  for (const auto& each : {contract_name, std::string("plimsoll.yaml")})
    if (std::filesystem::exists(folder / each, error))
      return complain((folder / each).string() + " already exists", {},
                      "Choose another folder: `plimsoll init FOLDER`.");
  std::filesystem::create_directories(folder, error);
  if (error)
    return complain("the folder " + name + " cannot be created: " + error.message(), {},
                    "Choose a folder that can be written.");
  std::filesystem::create_directories(folder / ".plimsoll", error);
  if (error)
    return complain("the folder " + (folder / ".plimsoll").string() + " cannot be created: " + error.message(), {},
                    "Choose a folder that can be written.");
  int status = 0;
  if (!write_new(folder / contract_name, contract, status) || !write_new(folder / "plimsoll.yaml", deployment, status))
    return status;
  // What the first lines of both name: editors complete and check by them.
  if (!write_new(folder / ".plimsoll/contract.schema.json", server::contract_schema(), status) ||
      !write_new(folder / ".plimsoll/deployment.schema.json", server::deployment_schema(), status))
    return status;
  std::printf("Wrote %s and %s. Now:\n\n", (folder / contract_name).c_str(), (folder / "plimsoll.yaml").c_str());
  if (name != ".") std::printf("  cd %s\n", name.c_str());
  return 0;
}

int write_notes(const std::string& name) {
  if (const int status = write_both(name, "notes.yaml", kContract, kDeployment)) return status;
  std::printf("  plimsoll serve notes.yaml\n  curl http://127.0.0.1:8080/notes\n");
  return 0;
}

int write_from(const InitFrom& from) {
  WrittenFiles made;
  if (const int status = write_from_database(from, made)) return status;
  const auto file = made.name + ".yaml";
  if (const int status = write_both(from.folder, file, made.contract, made.deployment)) return status;
  if (made.password) std::printf("  export DATABASE_PASSWORD=…\n");
  std::printf("  plimsoll keys create --name me --scope '*'\n  plimsoll serve %s\n\n", file.c_str());
  std::printf("%zu %s served, each with its own scope, such as `NAME:read`.\n", made.tables,
              made.tables == 1 ? "table is" : "tables are");
  if (made.left_out)
    std::printf("%zu %s at the top of %s: tables and columns that are not served, with the reason.\n", made.left_out,
                made.left_out == 1 ? "entry is" : "entries are", file.c_str());
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto from = std::make_shared<InitFrom>();
  from->folder = ".";
  app.add_option("FOLDER", from->folder, "Folder to write to; created when it does not exist");
  auto* url =
      app.add_option("--from", from->url,
                     "Existing database, `postgres://…` or `sqlite:FILE`: the contract describes its tables and views")
          ->type_name("URL");
  app.add_flag("--writable", from->writable, "With --from: also write operations that create, change and delete rows")
      ->needs(url);
  return [from] { return from->url.empty() ? write_notes(from->folder) : write_from(*from); };
}

const Subcommand init{
    "init", "Writes a first contract and configuration: small ones, or those for an existing database", declare};

}  // namespace
}  // namespace plimsoll::command
