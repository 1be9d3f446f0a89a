/// The version of all programs of this build.
public let planeVersion = "0.1.0"
