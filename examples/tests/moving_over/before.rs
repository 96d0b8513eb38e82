use redis::AsyncCommands;
use testcontainers::runners::AsyncRunner;

#[tokio::test]
async fn the_cache_keeps_a_stock() -> Result<(), Box<dyn std::error::Error>> {
    let Some(image) = crate::redis_image().await else {
        return Ok(());
    };
    let redis = image.start().await?;
    let port = redis.get_host_port_ipv4(6379).await?;

    let client = redis::Client::open(("127.0.0.1", port))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    connection.set::<_, _, ()>("stock:42", 55).await?;
    let stock: u64 = connection.get("stock:42").await?;
    assert_eq!(stock, 55);
    Ok(())
}
