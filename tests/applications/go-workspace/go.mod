module example.com/workspace

go 1.22

require example.com/workspace/greeting v0.0.0
