# Every target installs what it needs (scripts/install-dependencies says what), and each can be run first.
BUILD := build
CMAKE := cmake -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19

.PHONY: demo test build bench fuzz torture sanitize format format-check dependencies
