// Command migrate prepares the database, of which there is none.
package main

import "fmt"

func main() { fmt.Println("nothing to migrate") }
