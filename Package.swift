// swift-tools-version: 6.2
import PackageDescription

// Pure rooms decide and never touch the system; acting rooms hold the system calls. Imports only point down this list.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "plane",
    products: [
        .executable(name: "plane", targets: ["plane"]),
        .executable(name: "plane-warden", targets: ["plane-warden"]),
    ],
    targets: [
        .target(name: "CLinux"),
        // libpq as a table of functions that is filled when it is loaded: nothing links it.
        .target(name: "CPostgres"),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CCap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),

        .target(name: "Linux", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "Model", swiftSettings: strict),
        .target(name: "HTTP", dependencies: ["Linux"], swiftSettings: strict),
        .target(name: "WardenProtocol", dependencies: ["Model", "Linux"], swiftSettings: strict),
        .target(name: "Policy", dependencies: ["Model", "CSeccomp"], swiftSettings: strict),
        .target(name: "Sandbox", dependencies: ["Linux", "Model", "CCap"], swiftSettings: strict),
        .target(
            name: "Warden", dependencies: ["Sandbox", "WardenProtocol", "Linux", "Model"], swiftSettings: strict),
        // What an image's tree may hold: archives read before they are unpacked, trees checked after, digests.
        .target(name: "Images", dependencies: ["Linux", "Model", "CLinux"], swiftSettings: strict),
        .target(name: "Proxy", dependencies: ["HTTP", "Linux", "CLinux"], swiftSettings: strict),
        .target(
            name: "Drone", dependencies: ["Proxy", "WardenProtocol", "HTTP", "Model", "Linux"],
            swiftSettings: strict),
        .target(name: "Store", dependencies: ["Model", "CSQLite", "CPostgres"], swiftSettings: strict),
        .target(
            name: "Controller", dependencies: ["Store", "HTTP", "Model", "Linux"], swiftSettings: strict),

        .executableTarget(
            name: "plane",
            dependencies: [
                "Controller", "Drone", "Policy", "Images", "WardenProtocol", "HTTP", "Model", "Linux", "CLinux",
            ],
            swiftSettings: strict),
        // Its own binary is exec'ed as pid 1 inside every sandbox, where no shared library exists: fully static.
        .executableTarget(
            name: "plane-warden", dependencies: ["Warden", "Model"], swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),

        // The same without some of its defences, for the tests that prove what each is good for. No product: never installed.
        .executableTarget(
            name: "plane-weak-warden", dependencies: ["Warden", "Sandbox"], path: "Tests/WeakWarden",
            swiftSettings: strict, linkerSettings: [.unsafeFlags(["-static-executable"])]),

        .testTarget(name: "LinuxTests", dependencies: ["Linux", "CLinux"], swiftSettings: strict),
        .testTarget(name: "HTTPTests", dependencies: ["HTTP", "Linux"], swiftSettings: strict),
        .testTarget(
            name: "WardenProtocolTests", dependencies: ["WardenProtocol", "Model", "Linux"], swiftSettings: strict),
        .testTarget(
            name: "DroneTests", dependencies: ["Drone", "Proxy", "WardenProtocol", "HTTP", "Model", "Linux"],
            swiftSettings: strict),
        .testTarget(name: "ProxyTests", dependencies: ["Proxy", "HTTP", "Linux", "CLinux"], swiftSettings: strict),
        // Generated files for the policy parser and all behind it: swift run -c release plane-policy-fuzzer
        .executableTarget(
            name: "plane-policy-fuzzer", dependencies: ["Policy", "Model"], path: "Tests/PolicyFuzzer",
            swiftSettings: strict),
        .testTarget(
            name: "PolicyTests", dependencies: ["plane-policy-fuzzer", "Policy", "Model", "CSeccomp"],
            exclude: ["Programs"], swiftSettings: strict),
        .testTarget(
            name: "SandboxTests", dependencies: ["TestPrograms", "Policy", "Sandbox", "Model", "Linux"],
            swiftSettings: strict),
        .testTarget(
            name: "WardenTests", dependencies: ["TestPrograms", "Warden", "WardenProtocol", "Model", "Linux"],
            swiftSettings: strict),
        // Programs and images that several test targets start.
        .target(
            name: "TestPrograms", dependencies: ["Linux", "Model"], path: "Tests/TestPrograms", swiftSettings: strict),
        .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: strict),
        // A store in memory, proven equal to the others by the same suite; what the simulator's controllers share.
        .target(
            name: "SimulatedStore", dependencies: ["Store", "Model"], path: "Tests/SimulatedStore",
            swiftSettings: strict),
        .testTarget(
            name: "StoreTests", dependencies: ["SimulatedStore", "Store", "Model", "CSQLite"], swiftSettings: strict),
        .testTarget(
            name: "ControllerTests",
            dependencies: ["SimulatedStore", "Controller", "Store", "HTTP", "Model", "Linux", "CSQLite"],
            swiftSettings: strict),
        // The cores under a virtual clock: swift run -c release plane-simulator --seeds 1000000
        .executableTarget(
            name: "plane-simulator",
            dependencies: [
                "SimulatedStore", "Controller", "Drone", "Warden", "WardenProtocol", "Store", "Proxy", "HTTP", "Model",
                "Linux",
            ],
            path: "Tests/Simulator", swiftSettings: strict),
        .testTarget(
            name: "SimulatorTests", dependencies: ["plane-simulator", "Model"], swiftSettings: strict),
        .testTarget(
            name: "PlaneTests", dependencies: ["plane", "TestPrograms", "Images", "Policy", "HTTP", "Linux", "Model"],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
