module countersign/tools/expr-vectors

go 1.21

require github.com/antonmedv/expr v1.15.3
