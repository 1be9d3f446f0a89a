@main struct Plane { static func main() { print("plane") } }
