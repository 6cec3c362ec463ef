#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/catalogue.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// A contract for tables that are there already: what of them can be served, and its text.
namespace plimsoll::command {

class ExistingContract {
 public:
  /// Of the engine (database/engine.hpp).
  using SchemaOf = database::ColumnSchema (*)(const database::CatalogueColumn&);
  struct Options {
    std::string title;
    bool writable = false;
    SchemaOf schema_of = nullptr;
  };
  ExistingContract(std::vector<database::CatalogueTable> tables, Options options);

  /// Candidates for the key of a view: no catalogue says which of its columns is unique.
  static std::vector<std::string> key_candidates(const database::CatalogueTable& view, SchemaOf schema_of);
  /// Names the key of a view, once somebody has looked at its rows.
  void set_key(const std::string& view, std::string column) { view_keys_[view] = std::move(column); }

  /// Decides what is served, and writes it.
  std::string text();
  /// Leaves out what a complaint about the last text is about: a column where it names one, else the table. False where
  /// it is about neither.
  bool leave_out(const contract::Complaint& complaint);

  std::size_t tables_served() const { return served_.size(); }
  /// Tables, columns and references that are not, each with the reason.
  std::size_t left_out() const { return notes_; }

 private:
  struct Embed {
    std::string name, table;
    std::vector<std::string> on, by;  ///< one of them; columns in the order of the key that they hold
  };
  struct Served {
    const database::CatalogueTable* table = nullptr;
    std::vector<std::string> key;
    std::string path, word;  ///< `word` names schema, operations and scope
    std::vector<const database::CatalogueColumn*> columns;
    std::vector<std::string> filters, sort;
    std::vector<Embed> embeds;
    bool writable = false;
  };
  /// Lines from `begin` on are about this table.
  struct Place {
    std::size_t begin = 0;
    std::string table;
  };

  void choose();
  std::string why_not(const database::CatalogueTable& table, Served& made) const;
  void choose_lists(Served& made) const;
  void choose_embeds();
  void write_head(std::string& out);
  void write_declarations(std::string& out);
  void write_paths(std::string& out);
  void write_schemas(std::string& out);
  void write_property(std::string& out, const Served& served, const database::CatalogueColumn& column) const;
  void mark(const std::string& out, const std::string& table);
  Served* served(std::string_view table);

  std::vector<database::CatalogueTable> tables_;
  Options options_;
  std::map<std::string, std::string> view_keys_;
  std::map<std::string, std::string> refused_tables_;                           ///< with the reason
  std::map<std::pair<std::string, std::string>, std::string> refused_columns_;  ///< of a table
  std::vector<Served> served_;
  std::vector<std::pair<std::string, std::string>> table_notes_, column_notes_, reference_notes_;
  std::vector<Place> places_;
  std::size_t notes_ = 0;
};

}  // namespace plimsoll::command
