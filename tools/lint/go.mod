module github.com/outrigger-project/outrigger/tools/lint

go 1.26.0
