module collector

go 1.25.0
