import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One node of Elasticsearch from its jars alone: {@code StartNode HOME HTTP_PORT TRANSPORT_PORT CLUSTER SETTING=VALUE…}.
 *
 * <p>What is said of several nodes is in the settings behind; without any it is alone.
 */
public final class StartNode {
    private StartNode() {}

    /** Runs until SIGTERM, and then closes its files. */
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        String name = arguments[3];
        LogConfigurator.configureESLogging();
        Settings.Builder more = Settings.builder();
        for (int i = 4; i < arguments.length; i++) {
            String[] setting = arguments[i].split("=", 2);
            more.put(setting[0], setting[1]);
        }
        if (arguments.length == 4) {
            more.put("discovery.type", "single-node");
        }
        Settings settings = Settings.builder()
            .put("path.home", home)
            .put("cluster.name", name)
            .put("node.name", name)
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", arguments[2])
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // a full disk of a developer is no reason to refuse writes
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put(more.build())
            .build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> name);
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
            Map.of(),
            false);
        Node node = new Node(environment, plugins);
        CountDownLatch over = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, over)));
        node.start();
        over.await(); // none of its own threads keeps Java alive
    }

    private static void close(Node node, CountDownLatch over) {
        try {
            node.close();
        } catch (Exception error) {
            error.printStackTrace();
        } finally {
            over.countDown();
        }
    }
}
