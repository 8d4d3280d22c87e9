module example.com/own-dockerfile

go 1.22
