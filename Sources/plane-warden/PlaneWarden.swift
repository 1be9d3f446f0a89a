@main struct PlaneWarden { static func main() { print("warden") } }
