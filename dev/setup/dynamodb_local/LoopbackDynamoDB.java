import java.lang.reflect.Field;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/**
 * Amazon's DynamoDB Local on 127.0.0.1 only, in memory, without telemetry, until standard input
 * ends.
 *
 * Its own main class listens on every interface and has no option to change that, so this class
 * takes the Jetty server inside by reflection.
 */
public final class LoopbackDynamoDB {
    public static void main(String[] arguments) throws Exception {
        // -sharedDb: one database, whatever keys and region a client signs with, since a test may
        // use others than the server's.
        DynamoDBProxyServer database = ServerRunner.createServerFromCommandLineArgs(
            new String[] {"-inMemory", "-sharedDb", "-disableTelemetry", "-port", arguments[0]});
        for (Connector connector : jettyOf(database).getConnectors()) {
            ((ServerConnector) connector).setHost("127.0.0.1");
        }
        database.start();
        while (System.in.read() != -1) {
            // Whoever started us holds the other end; nothing is ever written.
        }
        System.exit(0);
    }

    private static Server jettyOf(DynamoDBProxyServer database)
            throws ReflectiveOperationException {
        Field server = DynamoDBProxyServer.class.getDeclaredField("server");
        server.setAccessible(true);
        return (Server) server.get(database);
    }
}
